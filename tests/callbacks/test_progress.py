"""The bar of a training in windows of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bags.callbacks.progress import bar, shortened


@pytest.mark.parametrize(
    ("width", "name"), [(80, "trip"), (80, "my [b] {kitchen} in the summer of last year"), (160, "trip")]
)
def test_a_narrow_window_still_tells_steps_and_times(width: int, name: str) -> None:
    window = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    shown = bar(window, name, 30_000)
    numbers = "loss 0.0576  PSNR 27.26  Gaussians 8,330  scale 1/1"
    shown.add_task(shortened(name), total=30_000, completed=12_345, numbers=numbers)
    with window.capture() as said:
        window.print(shown.get_renderable())
    assert "12345/30000 0:00:00 left -:--:-- loss 0.0" in said.get()
    assert said.get().startswith(name if len(name) < 16 else "my [b] {kitchen…")
    assert said.get().count("\n") == 1
    assert width < 120 or numbers in said.get()


def test_slow_steps_have_a_time_left_too() -> None:
    now = [0.0]
    shown = bar(Console(file=io.StringIO()), "trip", 1000)
    shown.get_time = lambda: now[0]
    task = shown.add_task("trip", total=1000, numbers="")
    for done in (0, 10, 20):
        shown.update(task, completed=done)
        now[0] += 40.0  # seconds for ten steps
    assert shown.tasks[0].time_remaining == 3920


def test_time_budget_shows_the_time_left() -> None:
    """Coarse steps are quick: judged by them, the time left is a small part of what it will be."""
    now = [0.0]
    window = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    shown = bar(window, "trip", 1000)
    shown.get_time = lambda: now[0]
    task = shown.add_task("trip", total=1000, numbers="", left=900.0)
    for done, total, left in ((10, 1000, 899.4), (20, 1200, 890.0)):
        now[0] += 0.1
        shown.update(task, completed=done, total=total, left=left)
    with window.capture() as said:
        window.print(shown.get_renderable())
    assert "20/1200" in said.get() and "left 0:14:50" in said.get()
