"""Time-lapse video of the training."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.io.images import from_picture, image_size, read_image, tile, write_png
from bags.io.video import writing_video
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.settings import Settings
from bags.types import Camera

LARGEST = 800  # pixels along the longer side of a frame
FPS = 8.0  # of the video, whose last frame is shown for a second


class TimeLapse(StepCallback):
    """Renders the first training view sharp, ``output.time_lapse`` times at equal intervals.

    The pictures are ``progress/time_lapse/step_N.png``, so that a resumed run has the earlier ones. The last step makes
    the video ``time_lapse.mp4`` of them.
    """

    first_rank_only = True

    def configure(self, settings: Settings) -> None:
        """Take the number of pictures and the folder."""
        self._count, self._folder = settings.output.time_lapse, settings.folder

    @torch.no_grad()
    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Write a picture if one is due, and the video after the last step."""
        step, total = output.phase.step, pl_module.schedule.total
        if not self._count or (step % max(1, total // self._count) and step != total):
            return
        camera = trainer.datamodule.train.camera(0, pl_module.schedule.finest)  # type: ignore[attr-defined]
        render = pl_module.render(framed(camera).to(pl_module.device))
        pictures = self._folder / "progress" / "time_lapse"
        write_png(pictures / f"step_{step:06d}.png", tile([render.rgb], columns=1, labels=[f"step {step:,}"]))
        if step == total:
            write_film(self._folder / "time_lapse.mp4", sorted(pictures.glob("step_*.png")))


def framed(camera: Camera) -> Camera:
    """The camera for a picture whose sides are even, as videos require, and at most ``LARGEST`` pixels."""
    scale = min(1.0, LARGEST / max(camera.width, camera.height))
    return camera.resized(*(max(2, round(scale * side / 2) * 2) for side in (camera.width, camera.height)))


def write_film(path: Path, pictures: list[Path]) -> None:
    """Write a video of ``pictures``, which have the same size."""
    with writing_video(path, *image_size(pictures[-1]), FPS) as write:
        for picture in [*pictures, *pictures[-1:] * round(FPS)]:
            write(from_picture(read_image(picture)))
