"""Pictures of the training as it goes: photo, blurry prediction, sharp render, mask, kernels."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from bags.io.images import tile, write_png
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.pictures import kernel_sheet


class ImageLogging(Callback):
    """Writes one picture every ``output.images_every`` steps into ``progress/``; image loggers get it too."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: BagsModule, *args: Any) -> None:  # type: ignore[override]
        """Show the step's own view."""
        output, settings = pl_module.output, pl_module.settings
        every = settings.output.images_every
        if output is None or not every or output.phase.step % every:
            return
        picture = sheet(output)
        step = output.phase.step
        write_png(settings.folder / "progress" / f"step_{step:06d}.png", picture)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):  # wandb
                logger.log_image("train/view", [picture.permute(1, 2, 0).cpu().numpy()], step=step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("train/view", picture, step)


@torch.no_grad()
def sheet(output: TrainingOutput) -> Tensor:
    """(3, h, w): photo, blurry prediction, sharp render and, with a blur model, mask and kernels side by side."""
    images = [output.batch.image, output.prediction.detach(), output.sharp.detach()]
    labels = ["photo", "prediction", "sharp"]
    if output.proposal is not None:
        images += [output.proposal.mask.detach().expand(3, -1, -1), kernel_sheet(output.proposal)]
        labels += ["mask", "kernels"]
    return tile([image.clamp(0, 1).cpu() for image in images], columns=len(images), labels=labels)
