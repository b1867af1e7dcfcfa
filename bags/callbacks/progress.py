"""Progress on the terminal: loss, PSNR, Gaussians, scale, time left."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from lightning import Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from bags.callbacks.base import StepCallback
from bags.callbacks.time_budget import TimeBudget
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.psnr import psnr
from bags.settings import Settings
from bags.system.terminal import terminal

SMOOTHING = 0.95  # of the displayed running means
REFRESH_STEPS = 10  # not at every step, because reading a number from the device waits for it
LONGEST_NAME = 16
SPEED_SECONDS = 120.0  # period from which the time left is estimated; ten steps may take half a minute
QUIET_SECONDS = 20.0  # between two lines where there is no terminal


class Progress(StepCallback):
    """A progress bar on a terminal; otherwise a line every ``QUIET_SECONDS``."""

    first_rank_only = True

    def __init__(self) -> None:
        self._console = terminal(stderr=True)
        self._bar: Bar | None = None
        self._task: Any = None
        self._budget: TimeBudget | None = None
        self._loss = self._psnr = float("nan")
        self._spoke = 0.0

    def configure(self, settings: Settings) -> None:
        """Take the run's name, and whether to show progress."""
        self._name, self._shown = settings.name, settings.trainer.progress

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Show the bar, from the step at which a resumed run continues."""
        if not (self._shown and trainer.is_global_zero):
            return
        self._spoke = time.monotonic()
        self._budget = next((c for c in trainer.callbacks if isinstance(c, TimeBudget)), None)  # type: ignore[attr-defined]
        if sys.stderr.isatty():
            self._bar = bar(self._console, self._name, pl_module.schedule.total)
            self._task = self._bar.add_task(
                shortened(self._name),
                total=pl_module.schedule.total,
                completed=trainer.global_step,
                numbers="",
                left=self._left(trainer.global_step),
            )
            self._bar.start()

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Show this step."""
        if not self._shown:
            return
        step, total = output.phase.step, pl_module.schedule.total
        if step % REFRESH_STEPS and step != total:
            return
        self._loss = smoothed(self._loss, float(sum(output.losses.values())))
        self._psnr = smoothed(self._psnr, psnr(output.prediction.detach(), output.batch.image, output.batch.counts))
        numbers = (
            f"loss {self._loss:.4f}  PSNR {self._psnr:5.2f}  Gaussians {len(pl_module.gaussians):,}"
            f"  scale 1/{output.phase.divisor}{'' if output.phase.blur else '  sharp only'}"
        )
        left = self._left(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, total=total, numbers=numbers, left=left)
        elif time.monotonic() - self._spoke > QUIET_SECONDS or step == total:
            self._spoke = time.monotonic()
            when = "" if left is None else f"  left {in_hours(left)}"
            self._console.print(f"{self._name}  step {step}/{total}{when}  {numbers}")

    def _left(self, step: int) -> float | None:
        """Remaining seconds of a time budget, if there is one."""
        return None if self._budget is None else self._budget.left(step)

    def teardown(self, trainer: Trainer, pl_module: BagsModule, stage: str) -> None:  # type: ignore[override]
        """Restore the terminal, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def bar(console: Console, name: str, total: int) -> Bar:
    """The bar: in a narrow window the numbers at its end are cut off, but name, steps and times stay complete."""

    def whole(width: int) -> Column:
        return Column(min_width=width, no_wrap=True)

    return Bar(
        TextColumn("{task.description}", style="bold", markup=False, table_column=whole(len(shortened(name)))),
        BarColumn(bar_width=16),
        MofNCompleteColumn(table_column=whole(2 * len(str(total)) + 1)),
        TimeElapsedColumn(table_column=whole(len("0:00:00"))),
        TextColumn("left", table_column=whole(len("left"))),
        TimeLeftColumn(table_column=whole(len("0:00:00"))),
        TextColumn("{task.fields[numbers]}"),
        console=console,
        speed_estimate_period=SPEED_SECONDS,
    )


class TimeLeftColumn(TimeRemainingColumn):
    """Time left of a time budget (the task's field ``left``, in seconds); without one, estimated from the speed."""

    def render(self, task: Task) -> Text:
        """As hours, minutes and seconds."""
        left = task.fields.get("left")
        return super().render(task) if left is None else Text(in_hours(left), style="progress.remaining")


def in_hours(seconds: float) -> str:
    """``seconds`` as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def shortened(name: str) -> str:
    """``name``, truncated to ``LONGEST_NAME`` characters."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def smoothed(mean: float, value: float) -> float:
    """Exponential running mean that starts with the first value."""
    return value if mean != mean else SMOOTHING * mean + (1 - SMOOTHING) * value
