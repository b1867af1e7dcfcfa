"""Training views of mixed resolution, generated from sharp photos (docs/datasets.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from bags.datamodules.resolution import training_size
from bags.settings import DatasetSettings
from bags.types import BlurTruth, Scene, View


def mix_resolutions(scene: Scene, settings: DatasetSettings) -> Scene:
    """``scene`` with every training view downsampled by its factor and enlarged again; test views are not changed.

    The photo is area-averaged to ``1 / factor`` of the full training size and enlarged to that size by bicubic
    interpolation. (At the photo's own size, a small factor would have no effect if the photo is reduced for training.)
    The factors depend only on ``mixed_resolution.seed`` and the number of training views.

    Args:
        scene: sharp photos.
        settings: ``mixed_resolution`` and ``factor`` are used; without factors the scene is returned unchanged.
    """
    mixed = settings.mixed_resolution
    if not mixed.factors:
        return scene
    factors = deal(mixed.factors, len(scene.train), mixed.seed)
    views = (_lowered(view, by, settings.factor) for view, by in zip(scene.train, factors, strict=True))
    return replace(scene, train=tuple(views))


def deal(factors: Sequence[float], count: int, seed: int) -> list[float]:
    """A factor for each of ``count`` views: all factors equally often (up to one view), in random order."""
    order = np.random.default_rng(seed).permutation(count)
    return [factors[place % len(factors)] for place in order]


def low_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Size of the photo whose pixels are ``factor`` times larger (rounded, at least 2 x 2)."""
    return max(2, round(width / factor)), max(2, round(height / factor))


def low_resolution_truth(width: int, height: int, factor: float) -> BlurTruth:
    """Spread of the down-and-up filter in pixels of a photo of ``width`` x ``height``, beyond that of a pixel.

    A box of side f has the variance f^2 / 12 per axis, a pixel of the sharp photo 1 / 12. Bicubic interpolation (Keys'
    kernel, a = -1/2) reproduces parabolas, so it adds no variance. The root mean square spread over both axes is
    sqrt((fx^2 - 1 + fy^2 - 1) / 12).
    """
    low_width, low_height = low_size(width, height, factor)
    squares = (width / low_width) ** 2 + (height / low_height) ** 2
    return BlurTruth("low_resolution", math.sqrt(max(0.0, squares - 2.0) / 12.0))


def _lowered(view: View, by: float, factor: int) -> View:
    if by == 1:
        return replace(view, blur=view.blur or BlurTruth("sharp", 0.0))
    size = training_size(view.camera.width, view.camera.height, factor)
    low = low_size(*size, by)
    lowered, truth = partial(_down_and_up, view.load, size, low), low_resolution_truth(*size, by)
    return replace(view, load=lowered, blur=truth, sharp=view.load)


def _down_and_up(load: Callable[[], Image.Image], size: tuple[int, int], low: tuple[int, int]) -> Image.Image:
    return load().resize(low, Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)
