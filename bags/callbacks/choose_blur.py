"""When it is decided which photos are blurred (``model.blur_model=auto``)."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.auto_blur import SHARP, AutoBlur
from bags.modules.bags_module import BagsModule
from bags.ops.edge_width import edge_width

log = logging.getLogger(__name__)


class ChooseBlur(StepCallback):
    """Decides before a run's first step, by the training photos alone, at the resolution that it trains at."""

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Look at all training photos."""
        blur = pl_module.blur
        if not isinstance(blur, AutoBlur) or blur.choices.made:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        blur.choices.choose([edge_width(view.image) for view in data.train_views_dataloader()])
        sharp = blur.choices.listed.count(SHARP)
        log.info("%d of %d photos are taken for sharp; blur is modelled in the others", sharp, len(blur.choices.listed))
