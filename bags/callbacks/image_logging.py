"""Pictures of the training as it goes: photo, blurry prediction, sharp render, mask, kernels."""

from __future__ import annotations

from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from bags.io.images import tile, write_png
from bags.modules.bags_module import BagsModule
from bags.pictures import view_pictures


class ImageLogging(Callback):
    """Writes one picture every ``output.images_every`` steps into ``progress/``; image loggers get it too."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: BagsModule, *args: Any) -> None:  # type: ignore[override]
        """Show the step's own view."""
        output, settings = pl_module.output, pl_module.settings
        every = settings.output.images_every
        if output is None or not every or output.phase.step % every:
            return
        pictures = view_pictures(output)
        picture = tile(list(pictures.values()), columns=len(pictures), labels=list(pictures))
        step = output.phase.step
        write_png(settings.folder / "progress" / f"step_{step:06d}.png", picture)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):  # wandb
                logger.log_image("train/view", [picture.permute(1, 2, 0).cpu().numpy()], step=step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("train/view", picture, step)
