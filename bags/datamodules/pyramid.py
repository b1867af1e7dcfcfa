"""Photos at every training resolution, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bags.datamodules.resolution import training_size
from bags.errors import SettingError
from bags.ops.windows import Window
from bags.settings import DatasetSettings
from bags.system.memory import free_memory, in_words
from bags.types import Camera, View

THREADS = 4  # decoding and resizing release the GIL; also the number of original photos in memory at once
MAKING = 10  # bytes per pixel during resizing: four in Pillow, and twice three during conversion to a tensor


class ImagePyramid:
    """Photos and cameras of some views at some scales.

    All photos are read when the pyramid is created, so that an unreadable one stops the run before it starts. Each
    level is resized from the original in one step by Pillow's antialiased bicubic filter (docs/method.md section 4) and
    stored as 8-bit; originals are not kept. A mask is a fourth channel: 255 where all of the mask in the pixel's area
    is white.

    Args:
        views: photos, of any sizes.
        settings: ``factor`` and ``white_background`` are used.
        divisors: of the training resolution, one per scale.

    Raises:
        DataError: a photo cannot be read.
        SettingError: a level would be too small, or all of them together exceed the free memory.
    """

    def __init__(self, views: Sequence[View], settings: DatasetSettings, divisors: Sequence[int]) -> None:
        self.views = tuple(views)
        self.divisors = tuple(divisors)
        self._cameras = [[self._camera(view, settings.factor, divisor) for divisor in divisors] for view in views]
        self._check_memory(settings.factor)
        background = (255, 255, 255) if settings.white_background else (0, 0, 0)

        def levels(index: int) -> list[Tensor]:
            photo = opaque(self.views[index].load(), background)
            levels = [resized(photo, camera.width, camera.height) for camera in self._cameras[index]]
            if (load := self.views[index].mask) is None:
                return levels
            mask = load()
            return [torch.cat([level, reduced_mask(mask, *level.shape[:0:-1])]) for level in levels]

        with ThreadPoolExecutor(THREADS) as pool:
            self._levels = list(pool.map(levels, range(len(self.views))))

    @staticmethod
    def _camera(view: View, factor: int, divisor: int) -> Camera:
        return view.camera.resized(*training_size(view.camera.width, view.camera.height, factor, divisor))

    def _check_memory(self, factor: int) -> None:
        pixels = [camera.width * camera.height for cameras in self._cameras for camera in cameras]
        channels = 3 + any(view.mask is not None for view in self.views)
        needed = channels * sum(pixels) + MAKING * max(pixels, default=0) * min(THREADS, len(self.views))
        if needed > (free := free_memory()):
            raise SettingError(
                "dataset.factor",
                factor,
                f"{len(self.views)} photos at {len(self.divisors)} resolutions need {in_words(needed)} of memory, but"
                f" only {in_words(free)} are free; use a lower resolution, or fewer photos",
            )

    def __len__(self) -> int:
        """Number of views."""
        return len(self.views)

    def camera(self, view: int, scale: int) -> Camera:
        """Camera of view ``view`` at ``divisors[scale]``."""
        return self._cameras[view][scale]

    def pixels(self, view: int, scale: int, window: Window | None = None) -> Tensor:
        """Photo of view ``view`` at ``divisors[scale]``, or a window of it, read only.

        (3, H, W) uint8; (4, H, W) with a mask.
        """
        pixels = self._levels[view][scale]
        return pixels if window is None else window.of(pixels)

    def image(self, view: int, scale: int, window: Window | None = None) -> Tensor:
        """Colours of ``pixels`` as (3, H, W) float32 in [0, 1]."""
        return as_float(self.pixels(view, scale, window)[:3])

    @property
    def size(self) -> int:
        """Bytes of all photos."""
        return sum(level.numel() for levels in self._levels for level in levels)

    def moved(self, place: Callable[[Tensor], Tensor], device: torch.device) -> ImagePyramid:
        """The same pyramid with every photo where ``place`` puts it and every camera on ``device``."""
        other = copy(self)
        other._levels = [[place(level) for level in levels] for levels in self._levels]
        other._cameras = [[camera.to(device) for camera in cameras] for cameras in self._cameras]
        return other


def as_float(pixels: Tensor) -> Tensor:
    """8-bit pixels as float32 in [0, 1], on the same device."""
    return pixels.float().div_(255)


def opaque(photo: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """``photo`` as RGB, transparency composited onto ``background`` (0 to 255)."""
    if photo.mode != "RGBA":
        return photo.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", photo.size, (*background, 255)), photo).convert("RGB")


def resized(photo: Image.Image, width: int, height: int) -> Tensor:
    """An RGB photo as (3, height, width) uint8."""
    if photo.size != (width, height):
        photo = photo.resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


def reduced_mask(mask: Image.Image, width: int, height: int) -> Tensor:
    """A mask of 0 and 255 as (1, height, width) uint8: a pixel is 255 only if its whole area is."""
    shares = torch.from_numpy(np.array(mask.resize((width, height), Image.Resampling.BOX)))
    return torch.where(shares == 255, 255, 0).to(torch.uint8)[None]
