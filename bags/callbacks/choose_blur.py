"""When it is decided which blur model explains each photo (``model.blur_model=chosen``)."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.evaluation.views import kinds_of_blur
from bags.modules.bags_module import BagsModule
from bags.modules.chosen_blur import ChosenBlur

log = logging.getLogger(__name__)


class ChooseBlur(StepCallback):
    """Decides at the first step of the single-scale phase, by what the kernels of the step before look like."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Look at all training photos once."""
        blur, schedule = pl_module.blur, pl_module.schedule
        if not isinstance(blur, ChosenBlur) or step == 1:
            return
        before = schedule.at(step - 1)
        if before.multi_scale and not schedule.at(step).multi_scale:
            kinds = kinds_of_blur(pl_module, trainer.datamodule, before)  # type: ignore[attr-defined]
            blur.choices.choose(kinds)
            paths = len(blur.choices.paths)
            told = "step %d: the camera's path explains %d photos, kernels explain %d"
            log.info(told, step, paths, len(kinds) - paths)
