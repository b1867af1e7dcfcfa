"""When a scale's head is initialised from that of the scale before (``model.bpn.carry_over``)."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule
from bags.modules.carry_over import carry_over

log = logging.getLogger(__name__)


class CarryOver(StepCallback):
    """Carries the blur proposal over at the first step of every scale but the first, if the settings ask for it.

    The second network has other layers and always starts from random weights.
    """

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Carry over if ``step`` uses another head than the step before."""
        blur = pl_module.kernels
        if blur is None or not pl_module.model.bpn.carry_over or step == 1:
            return
        past, now = (pl_module.schedule.at(number) for number in (step - 1, step))
        before, after = blur.head(past), blur.head(now)
        if isinstance(before, int) and isinstance(after, int) and after > before:
            stride = blur.sizes.stride
            ratio = stride(after) * now.divisor / (stride(before) * past.divisor)
            carry_over(blur.bpn, before, after, ratio, trainer.optimizers[0])
            log.info("step %d: head %d of the blur network starts from head %d", step, after + 1, before + 1)
