"""Learning rates from the schedule's clock, and the reset of the position rate after the multi-scale phase."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule

log = logging.getLogger(__name__)


class ScaleReset(StepCallback):
    """Sets the learning rates of every step (docs/method.md section 4), settles paths, and logs changes of phase."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Set the rates: of positions from the clock, which restarts when the single-scale phase begins."""
        schedule, optim = pl_module.schedule, pl_module.optim
        if schedule.begins_single_scale(step) and pl_module.paths is not None:
            pl_module.paths.settle()
        rate = schedule.position_rate(step, optim.position, optim.position_final)
        for group in trainer.optimizers[0].param_groups:
            if "final" in group:
                group["lr"] = schedule.rate_over_run(step, group["rate"], group["final"])
            else:
                base = rate * pl_module.gaussians.extent if group["name"] == "means" else group["rate"]
                group["lr"] = base * schedule.cooling(step)
        if schedule.changes_scale(step) and step > 1:
            log.info("step %d: training resolution is now 1/%d", step, schedule.at(step).divisor)
        if schedule.restarts(step):
            log.info("step %d: single-scale phase; the schedule's clock restarts", step)
