"""The schedule's clock made felt: position learning rate, and its reset after the multi-scale phase."""

from __future__ import annotations

import logging

from lightning import Callback, Trainer

from bags.modules.bags_module import BagsModule
from bags.types import ViewBatch

log = logging.getLogger(__name__)


class ScaleReset(Callback):
    """Sets the position rate of every step (docs/method.md section 4) and tells of changes of scale and the restart."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: BagsModule, batch: ViewBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Set the rate from the clock, which restarts when the single-scale phase begins."""
        schedule, optim = pl_module.schedule, pl_module.settings.optim
        rate = schedule.position_rate(batch.step, optim.position, optim.position_final)
        for group in trainer.optimizers[0].param_groups:
            if group["name"] == "means":
                group["lr"] = rate * float(pl_module.gaussians.extent)
        if schedule.changes_scale(batch.step) and batch.step > 1:
            log.info("step %d: training resolution is now 1/%d", batch.step, schedule.at(batch.step).divisor)
        if schedule.restarts(batch.step):
            log.info("step %d: single-scale phase; the schedule's clock restarts", batch.step)
