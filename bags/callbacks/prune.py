"""Remove Gaussians that are too transparent or too large (docs/method.md section 4)."""

from __future__ import annotations

import logging

from lightning import Trainer
from torch.optim import Optimizer

from bags.callbacks.base import RunCallback
from bags.densification.strategy import choose_pruned
from bags.densification.surgery import rebuild
from bags.modules.bags_module import BagsModule
from bags.settings import Settings

log = logging.getLogger(__name__)


class Prune(RunCallback):
    """Prunes right after densification and resets the gradient statistics."""

    strategy = "published"

    def configure(self, settings: Settings) -> None:
        """Take the thresholds."""
        self._settings = settings.densify

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Prune when the schedule densifies."""
        assert pl_module.output is not None
        phase, gaussians = pl_module.output.phase, pl_module.gaussians
        if not pl_module.schedule.densifies(phase.step):
            return
        big = pl_module.schedule.prunes_big(phase.step)
        pruned = choose_pruned(gaussians, self._settings, phase.multi_scale, big)
        if bool(pruned.all()):
            log.warning("step %d: every Gaussian would be pruned, so all are kept (is the scene empty?)", phase.step)
            pruned.fill_(False)
        rebuild(gaussians, optimizer, ~pruned)
        for name in gaussians.STATISTICS:
            getattr(gaussians, name).zero_()
