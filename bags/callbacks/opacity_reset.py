"""Opacity reset (docs/method.md sections 1 and 4)."""

from __future__ import annotations

from lightning import Trainer
from torch.optim import Optimizer

from bags.callbacks.base import RunCallback
from bags.densification.surgery import reset_opacity
from bags.modules.bags_module import BagsModule
from bags.settings import Settings


class OpacityReset(RunCallback):
    """Regularly makes every Gaussian nearly transparent, so that floaters disappear."""

    strategy = "published"

    def configure(self, settings: Settings) -> None:
        """Take the opacity to reset to."""
        self._opacity = settings.densify.reset_opacity

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Reset when the schedule says so."""
        assert pl_module.output is not None
        if pl_module.schedule.resets_opacity(pl_module.output.phase.step):
            reset_opacity(pl_module.gaussians, optimizer, self._opacity)
