"""Clone and split Gaussians where the screen-space gradient is large (docs/method.md section 4)."""

from __future__ import annotations

from lightning import Callback, Trainer
from torch.optim import Optimizer

from bags.densification.strategy import choose_growth, grown, observe
from bags.densification.surgery import rebuild
from bags.modules.bags_module import BagsModule
from bags.ops.random import normal


class Densify(Callback):
    """Gathers gradients at every step and grows the scene when the schedule says so.

    Works between the backward pass and the optimiser step; the statistics live on the Gaussians and so survive a
    checkpoint.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Gather this step's statistics; clone and split when due."""
        output = pl_module.output
        assert output is not None
        step, gaussians, settings = output.phase.step, pl_module.gaussians, pl_module.settings
        if not pl_module.schedule.densifying(step):
            return
        gradients = output.render.screen_gradients()
        if gradients is not None:
            # Of the whole photo's mean loss, which the thresholds mean: a window's mean has fewer pixels to share.
            width, height = output.batch.camera.photo_size
            part = output.batch.image[0].numel() / (width * height)
            observe(gaussians, gradients * part, output.render.radii, width, height)
        if not pl_module.schedule.densifies(step):
            return
        densify = settings.densify
        threshold = densify.init_gradient if output.phase.multi_scale else densify.gradient
        room = settings.model.gaussians.max_count - len(gaussians)
        growth = choose_growth(gaussians, densify, threshold, room)
        children = densify.split_into * int(growth.split.sum())
        noise = normal((children, 3), settings.seed, step, "split").to(gaussians.means)
        rebuild(gaussians, optimizer, ~growth.split, grown(gaussians, growth, densify, noise))
