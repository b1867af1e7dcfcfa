"""Training time, summed over a run's interruptions."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from lightning import Callback, LightningModule, Trainer

from bags import BEGAN

log = logging.getLogger(__name__)


class Stopwatch(Callback):
    """Counts the seconds spent in training steps and everything between them.

    Attributes:
        seconds: of all sessions of the run so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None
        self._waited = False

    def tick(self) -> float:
        """Count up to now.

        Returns:
            The seconds so far.
        """
        now = perf_counter()
        if self._since is not None:
            self.seconds += now - self._since
        self._since = now
        return self.seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start this session."""
        self._since = perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Count up to here, so that a checkpoint holds the time; the first step is logged."""
        self.tick()
        if not self._waited:
            self._waited = True
            log.info("first step done, %.0f s after the command", perf_counter() - BEGAN)

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from the interrupted run's time."""
        self.seconds = float(state_dict["seconds"])
