"""Pictures of the training as it goes: photo, blurry prediction, sharp render, mask, kernels."""

from __future__ import annotations

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.dashboards import log_pictures
from bags.io.images import tile, write_png
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.pictures import view_pictures


class ImageLogging(StepCallback):
    """Writes one picture every ``output.images_every`` steps into ``progress/``; image loggers get its parts."""

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
        named = {f"view/{kind}": image for kind, image in pictures.items()}
        log_pictures(trainer.loggers, named, step, output.batch.name)
