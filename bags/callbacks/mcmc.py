"""Relocate, add and shake Gaussians, as MCMC densification does (docs/method.md section 8)."""

from __future__ import annotations

import logging

import torch
from lightning import Trainer
from torch.optim import Optimizer

from bags.callbacks.base import StepCallback
from bags.callbacks.densify import room_left
from bags.callbacks.skip_nonfinite import left_out
from bags.densification.mcmc import dead, draw_live, growth, noise, relocate
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.random import normal, uniform
from bags.settings import Settings

log = logging.getLogger(__name__)


class MCMC(StepCallback):
    """Moves dead Gaussians and adds others when the schedule densifies, and adds noise to positions after every step.

    All of it follows from the Gaussians, the seed and the step, so processes that train together stay the same.
    """

    strategy = "mcmc"

    def configure(self, settings: Settings) -> None:
        """What is dead, how fast the number grows, how strong the noise is, and its seed."""
        self._settings, self._seed = settings.densify, settings.seed

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Relocate and add when due."""
        assert pl_module.output is not None
        step, gaussians = pl_module.output.phase.step, pl_module.gaussians
        if not pl_module.schedule.densifies(step):
            return
        gone = dead(gaussians, self._settings)
        if bool(gone.all()):
            log.warning("step %d: every Gaussian is transparent; none can be moved (is the scene empty?)", step)
            return
        times = pl_module.schedule.densify_weight
        count = int(gone.sum()) + growth(len(gaussians), self._settings, times, room_left(pl_module))
        if count:
            draws = uniform((count,), self._seed, step, "relocate")
            relocate(gaussians, optimizer, gone, draw_live(gaussians, gone, draws))

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Shake the positions, unless the step was skipped."""
        gaussians, optimizer = pl_module.gaussians, trainer.optimizers[0]
        rate = next(group["lr"] for group in optimizer.param_groups if group["name"] == "means")
        # Made where they are needed: at every step, a copy to a GPU would wait for it.
        draws = normal((len(gaussians), 3), self._seed, output.phase.step, "noise", gaussians.means.device)
        shift, spoiled = noise(gaussians, self._settings, rate, draws), left_out(optimizer)
        gaussians.means.data += shift if spoiled is None else torch.where(spoiled == 0, shift, 0.0)
