from __future__ import annotations

import itertools

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from bags.preparation.sharpness import sharpness
from bags.types import Scene


def test_every_blur_lowers_it(world: Scene) -> None:
    for view in world.train[:3]:
        photo = view.load()
        pixels = np.asarray(photo, dtype=np.float64)
        blurred = [photo]
        blurred += [Image.fromarray(gaussian_filter(pixels, (s, s, 0)).astype(np.uint8)) for s in (1, 2, 4)]
        values = [sharpness(image) for image in blurred]
        assert all(a > b + 0.05 for a, b in itertools.pairwise(values)), values
        for axis in (0, 1):  # blur along one axis only counts as well
            streaked = Image.fromarray(uniform_filter1d(pixels, 7, axis=axis).astype(np.uint8))
            assert sharpness(streaked) < values[0] - 0.1


def test_it_is_judged_at_one_size(world: Scene) -> None:
    photo = world.train[0].load()
    large = photo.resize((1152, 768), Image.Resampling.BICUBIC)
    assert abs(sharpness(large, side=288) - sharpness(photo)) < 0.05


def test_plain_and_tiny_pictures_have_no_sharpness() -> None:
    assert sharpness(Image.new("RGB", (100, 80), (9, 9, 9))) == 0
    assert sharpness(Image.new("RGB", (5, 80))) == 0
