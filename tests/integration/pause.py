"""A run that holds still at a step, for a test that ends it there: no race with how fast it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bags.callbacks import Checkpoint
from bags.callbacks.base import RunCallback
from bags.settings import Settings
from tests.waiting import until


class Pause(RunCallback):
    """Once, before step ``step`` of the run ``name``: makes the file ``here`` and waits to be killed or told to stop.

    Where the file is there already, as when the run is started again, it does nothing.
    """

    def __init__(self, name: str, step: int, here: str) -> None:
        self.name, self.step, self.here = name, step, Path(here)

    def configure(self, settings: Settings) -> None:
        self.run = settings.name

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.run == self.name and batch.step == self.step and not self.here.exists():
            self.here.touch()
            stopper = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoint))
            until(lambda: stopper.stopped)


def pause(name: str, step: int, here: Path) -> list[str]:
    """Words of the command line that put one into a run."""
    values = {"_target_": f"{Pause.__module__}.{Pause.__name__}", "name": name, "step": step, "here": here}
    return [f"+callbacks.pause.{key}={value}" for key, value in values.items()]
