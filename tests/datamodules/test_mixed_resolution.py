from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from bags.datamodules.mixed_resolution import deal, mix_resolutions
from bags.datamodules.pyramid import ImagePyramid
from bags.settings import DatasetSettings, MixedResolutionSettings
from bags.types import BlurTruth, Camera, PointCloud, Scene, View

POINTS = PointCloud(torch.zeros(1, 3), torch.zeros(1, 3))


def photo(seed, size=(96, 64), mode="RGB"):
    shape = (size[1], size[0], len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


def scene(count=7, size=(96, 64)):
    camera = Camera(torch.eye(3), torch.zeros(3), 50.0, 50.0, *size)
    views = [View(f"{i}.png", camera, lambda i=i: photo(i, size)) for i in range(count)]
    return Scene("made", tuple(views), (View("test.png", camera, lambda: photo(99, size)),), POINTS)


def settings(*factors, factor=1, seed=0):
    return DatasetSettings(factor=factor, mixed_resolution=MixedResolutionSettings(factors, seed))


def test_no_factors_no_change():
    before = scene()
    assert mix_resolutions(before, settings()) is before


def test_every_factor_gets_its_share_in_an_order_of_the_seed():
    dealt = deal((1.0, 2.0, 4.0), 10, seed=3)
    assert sorted(Counter(dealt).values()) == [3, 3, 4]
    assert dealt == deal((1.0, 2.0, 4.0), 10, seed=3) != deal((1.0, 2.0, 4.0), 10, seed=4)


def test_training_views_are_lowered_and_test_views_are_not():
    before = scene()
    after = mix_resolutions(before, settings(1, 2, 4))
    assert after.test == before.test and after.points is before.points
    kinds = Counter()
    for view, sharp, factor in zip(after.train, before.train, deal((1, 2, 4), 7, 0), strict=True):
        assert (view.name, view.camera) == (sharp.name, sharp.camera)
        made, original = np.asarray(view.load(), float), np.asarray(sharp.load(), float)
        kinds[view.blur.kind] += 1
        if factor == 1:
            assert view.blur == BlurTruth("sharp", 0.0) and np.array_equal(made, original)
            continue
        assert view.blur.amount == pytest.approx(((2 * factor**2 - 2) / 12) ** 0.5)
        boxes = original.reshape(64 // factor, factor, 96 // factor, factor, 3).mean((1, 3))
        low = Image.fromarray(np.floor(boxes + 0.5).astype(np.uint8)).resize((96, 64), Image.Resampling.BICUBIC)
        assert np.abs(made - np.asarray(low, float)).max() <= 4  # worst seen 3: Pillow rounds after each axis
    assert kinds == {"sharp": 3, "low_resolution": 4} or kinds == {"sharp": 2, "low_resolution": 5}


def test_factors_count_at_training_resolution():
    """Photos that are halved for training anyway: a factor of 2 must still be seen."""
    data = settings(2, factor=2)
    before = scene(2)
    after = mix_resolutions(before, data)
    assert after.train[0].load().size == (48, 32) and after.train[0].blur.amount == pytest.approx(0.5**0.5)
    made, sharp = (ImagePyramid(each.train, data, (2, 1)) for each in (after, before))
    for scale in (0, 1):
        assert made.camera(0, scale).width == sharp.camera(0, scale).width == made.image(0, scale).shape[2]
    detail = [pyramid.image(0, 1).diff(dim=2).abs().mean() for pyramid in (made, sharp)]
    assert detail[0] < 0.7 * detail[1]


def test_transparency_survives():
    """Colours under transparent pixels must not bleed in."""
    pixels = np.zeros((64, 96, 4), np.uint8)
    pixels[:, :48] = (255, 0, 0, 255)
    pixels[:, 48:] = (0, 255, 0, 0)
    view = scene(1).train[0]
    made = mix_resolutions(
        Scene("made", (View("a.png", view.camera, lambda: Image.fromarray(pixels)),), (), POINTS), settings(3)
    )
    result = np.asarray(made.train[0].load())
    assert result.shape == (64, 96, 4) and result[result[..., 3] > 20][:, 1].max() == 0
