"""A time budget for the training (``schedule.minutes``)."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.callbacks.stopwatch import Stopwatch
from bags.errors import BagsError
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.modules.step_cost import step_costs
from bags.ops.ranks import max_over_ranks
from bags.schedule import Kind
from bags.schedule.pace import Pace

log = logging.getLogger(__name__)

FEWEST = 300  # steps; fewer give no useful result
NOTABLE = 0.1  # change of the number of steps, as a fraction of the last one told, that is told again


class TimeBudget(StepCallback):
    """Decides how many steps fit into ``schedule.minutes``, before the first step and during training.

    The schedule stores the decisions and checkpoints contain them (``BagsModule``), so a resumed run has the same ones.
    The stopwatch measures the time. Several processes decide together, by the slowest. Must come after the stopwatch
    and before any callback that needs the length of the run.
    """

    def __init__(self) -> None:
        self.pace: Pace | None = None
        self._told = 0  # number of steps that the user knows of
        self._before: dict[str, Any] = {}
        self._watch: Stopwatch | None = None

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Measure a step of every kind, unless the checkpoint has the times, and decide.

        Raises:
            BagsError: fewer than ``FEWEST`` steps fit.
        """
        schedule, minutes = pl_module.schedule, pl_module.schedule.settings.minutes
        if minutes is None or trainer.global_step >= schedule.total:
            return
        watches = [callback for callback in trainer.callbacks if isinstance(callback, Stopwatch)]  # type: ignore[attr-defined]
        if not watches:
            raise BagsError("schedule.minutes needs the stopwatch: do not remove callbacks.stopwatch")
        self._watch = watches[0]
        step, decided = trainer.global_step, bool(schedule.decisions)
        costs: dict[Kind, float] = self._before.get("costs", {})
        if not costs:
            cameras = trainer.datamodule.cameras(schedule.finest)  # type: ignore[attr-defined]
            costs = step_costs(pl_module, trainer.train_dataloader.of_step, cameras)  # type: ignore[union-attr]
        costs = {kind: agreed(seconds) for kind, seconds in costs.items()}
        self.pace = Pace(schedule, 60 * minutes, costs)
        now = agreed(self._watch.tick())
        if not decided:
            self._check_length(step, now)
        self.pace.begin(step, now, self._before)
        self._told = schedule.total
        if not decided:
            finest = max(seconds for kind, seconds in costs.items() if kind[0] == schedule.finest)
            log.info(
                "a step takes %.2g s here at the full training resolution: %d steps in %s minutes",
                finest, schedule.total, f"{self.pace.left(step) / 60:.1f} of {minutes:g}",
            )  # fmt: skip

    def _check_length(self, step: int, now: float) -> None:
        assert self.pace is not None
        fit, cost = self.pace.fitting(step, now) - step, self.pace.cost(step)
        if fit < min(FEWEST, self.pace.schedule.longest - step):
            raise BagsError(
                f"schedule.minutes = {self.pace.seconds / 60:g} is too short: at {cost:.2g} s per step, the"
                f" least number of steps ({FEWEST}) takes {(now + FEWEST * cost) / 60:.1f} minutes here;"
                " allow more time, or use smaller photos (a larger dataset.factor)"
            )

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Adjust the number of steps to the measured time, if due; log only notable changes."""
        if self.pace is None or self._watch is None:
            return
        if self.pace.passed(output.phase, agreed(self._watch.seconds)):
            _, total, seconds = pl_module.schedule.decisions[-1]
            if abs(total - self._told) > NOTABLE * self._told:
                words = "step %d: %d steps fit now instead of %d, at %.2g s each from here"
                log.info(words, output.phase.step, total, self._told, seconds)
                self._told = total

    def left(self, step: int) -> float | None:
        """Seconds from ``step`` to the end of the training; None without a budget."""
        return None if self.pace is None else self.pace.left(step)

    def state_dict(self) -> dict[str, Any]:
        """Measured step times, and when they were checked."""
        return {} if self.pace is None else self.pace.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the times of the interrupted run."""
        self._before = state_dict


def agreed(seconds: float) -> float:
    """The longest time of all processes, so that they make the same decision."""
    return float(max_over_ranks(torch.tensor(seconds, dtype=torch.float64)))
