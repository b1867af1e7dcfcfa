"""Clone and split Gaussians where the screen-space gradient is large (docs/method.md section 4)."""

from __future__ import annotations

import logging

import torch
from lightning import Trainer
from torch.optim import Optimizer

from bags.callbacks.base import RunCallback
from bags.callbacks.skip_nonfinite import left_out
from bags.densification.strategy import Observation, choose_growth, gather, grown, observe, room
from bags.densification.surgery import rebuild
from bags.modules.bags_module import BagsModule
from bags.ops.random import normal
from bags.ops.ranks import max_over_ranks, sum_over_ranks
from bags.settings import Settings
from bags.system.memory import free_memory

log = logging.getLogger(__name__)


class Densify(RunCallback):
    """Accumulates gradients at every step and grows the scene when the schedule says so.

    Works between the backward pass and the optimiser step. The statistics are buffers of the Gaussians and so are saved
    in checkpoints. At every step they are combined over all processes, so that all have the same statistics and make
    the same decisions.
    """

    strategy = "published"

    def __init__(self) -> None:
        self._seen: Observation | None = None

    def configure(self, settings: Settings) -> None:
        """Thresholds and the seed of the noise."""
        self._settings, self._seed = settings.densify, settings.seed

    def on_after_backward(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Observe a view, with the gradient scaled to the mean loss of its whole photo, as the thresholds expect."""
        output = pl_module.output
        assert output is not None
        gradients = [gradient for render in output.renders if (gradient := render.screen_gradients()) is not None]
        if not gradients or not pl_module.schedule.densifying(output.phase.step):
            return
        # The gradient is divided by the number of views of the step, and a window's mean is over fewer pixels.
        width, height = output.batch.camera.photo_size
        share = trainer.accumulate_grad_batches * output.batch.image[0].numel() / (width * height)
        radii = torch.stack([render.radii for render in output.renders]).amax(dim=0)
        seen = observe(torch.stack(gradients).sum(dim=0) * share, radii, width, height)
        self._seen = seen if self._seen is None else self._seen + seen

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Accumulate this step's statistics; clone and split when due."""
        output = pl_module.output
        assert output is not None
        step, gaussians = output.phase.step, pl_module.gaussians
        if not pl_module.schedule.densifying(step):
            return
        if self._seen is not None:
            sum_over_ranks(self._seen.gradients)
            max_over_ranks(self._seen.radii)
            gather(gaussians, self._seen.unless(left_out(optimizer)))
            self._seen = None
        if not pl_module.schedule.densifies(step):
            return
        densify = self._settings
        threshold = densify.init_gradient if output.phase.multi_scale else densify.gradient
        growth = choose_growth(gaussians, densify, threshold, room_left(pl_module))
        children = densify.split_into * int(growth.split.sum())
        noise = normal((children, 3), self._seed, step, "split").to(gaussians.means)
        rebuild(gaussians, optimizer, ~growth.split, grown(gaussians, growth, densify, noise))


def room_left(pl_module: BagsModule) -> int:
    """How many Gaussians may be added; the same on every process."""
    gaussians = pl_module.gaussians
    most, by_memory = room(gaussians, pl_module.model.gaussians.max_count, free_memory(pl_module.device))
    if by_memory and most < len(gaussians):  # not enough memory to double them
        log.warning("memory allows at most %d more Gaussians; there are %d now", most, len(gaussians))
    return -int(max_over_ranks(torch.tensor(-most)))
