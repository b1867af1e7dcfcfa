"""Training time, summed over all sessions of a run."""

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
        """Add the time since the last call.

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
        """Add the time of this batch, so that checkpoints contain it; log the first step."""
        self.tick()
        if not self._waited:
            self._waited = True
            log.info("first step done, %.0f s after the command", perf_counter() - BEGAN)

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the time of the interrupted run."""
        self.seconds = float(state_dict["seconds"])
