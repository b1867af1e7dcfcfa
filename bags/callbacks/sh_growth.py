"""Increase of the degree of the spherical harmonics (docs/method.md section 1)."""

from __future__ import annotations

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule


class SHGrowth(StepCallback):
    """Sets the active degree before every step."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Set the schedule's degree for this step."""
        largest = pl_module.model.gaussians.sh_degree
        pl_module.gaussians.sh_degree = pl_module.schedule.sh_degree(step, largest)
