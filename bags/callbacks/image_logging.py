"""Pictures of the training as it goes: photo, blurry prediction, sharp render, mask, kernels."""

from __future__ import annotations

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from bags.callbacks.base import StepCallback
from bags.io.images import tile, write_png
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.pictures import view_pictures


class ImageLogging(StepCallback):
    """Writes one picture every ``output.images_every`` steps into ``progress/``; image loggers get it too."""

    first_rank_only = True

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Show the step's own view."""
        settings = pl_module.settings
        every = settings.output.images_every
        if not every or output.phase.step % every:
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
