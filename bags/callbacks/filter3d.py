"""When the 3D smoothing filter is recomputed (docs/method.md section 1)."""

from __future__ import annotations

from lightning import Trainer
from torch.optim import Optimizer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule


class Filter3D(StepCallback):
    """Recomputes the filter at the start, at changes of resolution, after each densification, and regularly later."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Recompute at the first step of every resolution (step 1 included)."""
        if pl_module.schedule.changes_scale(step):
            self._update(trainer, pl_module, step, pl_module.model.gaussians.absorb_filter and step > 1)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Recompute after this step's edits of the Gaussians, if due."""
        assert pl_module.output is not None
        if pl_module.schedule.refilters(pl_module.output.phase.step):
            self._update(trainer, pl_module, pl_module.output.phase.step)

    def _update(self, trainer: Trainer, pl_module: BagsModule, step: int, absorb: bool = False) -> None:
        cameras = trainer.datamodule.cameras(pl_module.schedule.at(step).scale)  # type: ignore[attr-defined]
        (pl_module.gaussians.absorb_filter if absorb else pl_module.gaussians.update_filter)(cameras)
