"""The scene in the browser during training (docs/viewer.md)."""

from __future__ import annotations

import logging
import time

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.settings import Settings
from bags.viewer.server import Viewer
from bags.viewer.stops import stops

log = logging.getLogger(__name__)


class LiveViewer(StepCallback):
    """Draws for browsers between steps, in at most ``viewer.share`` of the time; only with ``viewer.live``.

    Drawing does not affect the training. The caller of the training calls ``end`` when everything is finished.
    """

    first_rank_only = True

    def __init__(self) -> None:
        self.viewer: Viewer | None = None
        self._rest_until = 0.0

    def configure(self, settings: Settings) -> None:
        """Take the viewer's settings and the run's name."""
        self._settings, self._name = settings.viewer, settings.name

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Start the server and log its address."""
        if not self._settings.live or not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        step = max(1, trainer.global_step)
        self.viewer = Viewer(pl_module, stops(data), data.extent, self._settings, step, self._name)
        log.info("viewer: %s", self.viewer.address)

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Draw one picture, if a browser needs one and drawing has paused long enough."""
        if self.viewer is None:
            return
        self.viewer.painter.step = output.phase.step
        start = time.monotonic()
        if start >= self._rest_until and self.viewer.draw_one():
            now = time.monotonic()
            self._rest_until = now + (now - start) * (1 / self._settings.share - 1)

    def end(self, stay: bool) -> None:
        """Stop the server, if there is one; with ``stay``, first show the final state until Ctrl-C."""
        if self.viewer is None:
            return
        if stay:
            log.info("viewer: %s shows the final state; Ctrl-C ends it", self.viewer.address)
            self.viewer.serve()
        self.viewer.close()
        self.viewer = None
