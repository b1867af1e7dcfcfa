"""When it is decided what explains the blur of each photo (``model.blur_model=auto``)."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.evaluation.views import kinds_of_blur
from bags.modules.auto_blur import KERNELS, PATH, SHARP, AutoBlur
from bags.modules.bags_module import BagsModule

log = logging.getLogger(__name__)


class ChooseBlur(StepCallback):
    """Decides once, at the first step of the run's second half, by what the photos' kernels look like."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Look at all training photos."""
        blur, schedule = pl_module.blur, pl_module.schedule
        if not isinstance(blur, AutoBlur) or blur.choices.made or 2 * (step - 1) < schedule.total:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        blur.choices.choose(kinds_of_blur(pl_module, data, schedule.at(step - 1)))
        sharp, paths, kernels = (blur.choices.listed.count(choice) for choice in (SHARP, PATH, KERNELS))
        log.info("step %d: %d photos are sharp, %d shaken, %d blurred otherwise", step, sharp, paths, kernels)
