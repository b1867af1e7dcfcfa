"""Pictures during training: photo, blurry prediction, sharp render, mask, kernels."""

from __future__ import annotations

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.dashboards import log_pictures
from bags.evaluation.pictures import view_pictures
from bags.io.images import tile, write_png
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.settings import Settings


class ImageLogging(StepCallback):
    """Writes a picture to ``progress/`` every ``output.images_every`` steps; image loggers get its parts."""

    first_rank_only = True

    def configure(self, settings: Settings) -> None:
        """Take the interval and the folder of pictures."""
        self._every, self._folder = settings.output.images_every, settings.folder

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Write a picture of the step's view, if due."""
        if not self._every or output.phase.step % self._every:
            return
        pictures = view_pictures(output)
        picture = tile(list(pictures.values()), columns=len(pictures), labels=list(pictures))
        step = output.phase.step
        write_png(self._folder / "progress" / f"step_{step:06d}.png", picture)
        named = {f"view/{kind}": image for kind, image in pictures.items()}
        log_pictures(trainer.loggers, named, step, output.batch.name)
