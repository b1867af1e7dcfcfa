"""The viewer in a real browser, without a screen: it loads, moves, toggles, shows a kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bags.viewer.server import Viewer
from tests.viewer.browser import BROWSER, DRIVER, Browser, browser

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver")

PRESS = "[...document.querySelectorAll('button')].find(b => b.innerText === '{}').click()"
OPEN = "[...document.querySelectorAll('input')].find(i => i.value === '{}').click()"
CHOOSE = "[...document.querySelectorAll('[role=option]')].find(o => o.innerText === '{}').click()"
OPTION = "return [...document.querySelectorAll('[role=option]')].some(o => o.innerText === '{}')"
KERNELS = "return [...document.querySelectorAll('img')].filter(i => i.naturalWidth > 50).map(i => i.naturalWidth)"
PICTURE = (slice(180, 560), slice(20, 600))  # rows and columns of the window that no panel covers
BESIDE = (300, 400)  # a place on it


@pytest.fixture
def page(viewer: Viewer) -> Iterator[Browser]:
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            if not viewer.draw_one():
                time.sleep(0.02)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with browser() as opened:
            opened.open(viewer.address)
            yield opened
    finally:
        done.set()
        drawing.join()


def until(good: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def says(page: Browser, words: str) -> None:
    until(lambda: words in page.run("return document.body.innerText"), f"{words!r} is not said")


def choose(page: Browser, now: str, then: str) -> None:
    page.run(OPEN.format(now))
    until(lambda: page.run(OPTION.format(then)), f"no option {then!r}")
    page.run(CHOOSE.format(then))


def changes(page: Browser, before: np.ndarray) -> np.ndarray:
    """The picture, once it is another one."""
    now = [before]

    def another() -> bool:
        now[0] = page.screenshot()[PICTURE].astype(float)
        return bool(np.abs(now[0] - before).mean() > 3)

    until(another, "the picture stays")
    return now[0]


def test_it_loads_moves_toggles_and_shows_a_kernel(page: Browser, viewer: Viewer) -> None:
    first = viewer.stops[0].label
    says(page, first + ",")  # the browser's camera came to the view's own place, and said so
    sharp = changes(page, np.full_like(page.screenshot()[PICTURE], 255, dtype=float))
    assert sharp.std() > 5
    choose(page, "sharp", "depth")
    depth = changes(page, sharp)
    choose(page, "depth", "blurred")
    changes(page, depth)
    page.mouse(BESIDE)
    says(page, "root mean square")
    until(lambda: page.run(KERNELS), "no picture of the kernel")
    page.mouse(BESIDE, (340, 400), (400, 420))
    says(page, "free camera")
    says(page, "only at a view's own place")
    page.run(PRESS.format("back"))
    says(page, first + ",")
    page.run(PRESS.format("next"))
    says(page, viewer.stops[1].label + ",")
