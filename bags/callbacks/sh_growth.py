"""Growth of the spherical harmonics' degree (docs/method.md section 1)."""

from __future__ import annotations

from lightning import Callback, Trainer

from bags.modules.bags_module import BagsModule
from bags.types import ViewBatch


class SHGrowth(Callback):
    """Sets the active degree before every step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: BagsModule, batch: ViewBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Ask the schedule for the degree of this step."""
        largest = pl_module.settings.model.gaussians.sh_degree
        pl_module.gaussians.sh_degree.fill_(pl_module.schedule.sh_degree(batch.step, largest))
