from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from bags.datamodules import pyramid
from bags.datamodules.pyramid import ImagePyramid
from bags.errors import DataError, SettingError
from bags.io.images import read_image
from bags.settings import DatasetSettings
from bags.types import Camera, View


def view(path, width=96, height=64):
    camera = Camera(torch.eye(3), torch.zeros(3), fx=90.0, fy=80.0, width=width, height=height, offset=(3.0, -2.0))
    return View(path.name, camera, partial(read_image, path))


def noise(path, mode="RGB", size=(96, 64), seed=0):
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_each_level_is_resized_from_the_original_in_one_step(tmp_path):
    noise(tmp_path / "a.png")
    pyramid = ImagePyramid([view(tmp_path / "a.png")], DatasetSettings(factor=2), (4, 2, 1))
    original = Image.open(tmp_path / "a.png")
    for scale, size in enumerate([(12, 8), (24, 16), (48, 32)]):
        expected = np.asarray(original.resize(size, Image.Resampling.BICUBIC)).transpose(2, 0, 1) / 255
        image, camera = pyramid.image(0, scale), pyramid.camera(0, scale)
        assert image.dtype == torch.float32
        np.testing.assert_allclose(image, expected, atol=1e-6)
        assert (camera.width, camera.height) == size
        assert camera.fx == 90 * size[0] / 96
        assert camera.offset == (3 * size[0] / 96, -2 * size[1] / 64)


def test_full_size_is_the_photo_itself_and_no_access_changes_it(tmp_path):
    pixels = noise(tmp_path / "a.png")
    pyramid = ImagePyramid([view(tmp_path / "a.png")], DatasetSettings(), (1,))
    pyramid.image(0, 0).zero_()
    np.testing.assert_allclose(pyramid.image(0, 0), pixels.transpose(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.parametrize("white", [False, True])
def test_transparency_goes_onto_the_background(tmp_path, white):
    pixels = noise(tmp_path / "a.png", "RGBA") / 255
    pyramid = ImagePyramid([view(tmp_path / "a.png")], DatasetSettings(white_background=white), (1,))
    alpha = pixels[..., 3:]
    expected = pixels[..., :3] * alpha + (1 - alpha) * white
    # Pillow composites in 8 bits: off by one level at most.
    np.testing.assert_allclose(pyramid.image(0, 0), expected.transpose(2, 0, 1), atol=1.01 / 255)


def test_views_of_different_sizes_keep_their_order(tmp_path):
    views = []
    for number in range(9):
        noise(tmp_path / f"{number}.png", size=(32 + number, 24), seed=number)
        views.append(view(tmp_path / f"{number}.png", 32 + number, 24))
    pyramid = ImagePyramid(views, DatasetSettings(), (1,))
    assert len(pyramid) == 9
    for number in range(9):
        expected = np.asarray(Image.open(tmp_path / f"{number}.png")).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(pyramid.image(number, 0), expected, atol=1e-6)


def test_broken_photo_is_found_before_training(tmp_path):
    for name in "abc":
        noise(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        ImagePyramid([view(tmp_path / f"{name}.png") for name in "abc"], DatasetSettings(), (2, 1))


def test_level_too_small(tmp_path):
    noise(tmp_path / "a.png")
    with pytest.raises(SettingError, match=r"dataset\.factor = 4.*6 x 4"):
        ImagePyramid([view(tmp_path / "a.png")], DatasetSettings(factor=4), (4, 1))


def test_photos_that_do_not_fit_are_refused_before_one_is_read(tmp_path, monkeypatch):
    views = [view(tmp_path / f"{number}.png") for number in range(3)]  # no such files
    needed = 3 * 3 * (19_200 * 12_800 + 9_600 * 6_400) + 3 * 10 * 19_200 * 12_800
    monkeypatch.setattr(pyramid, "free_memory", lambda: needed - 1)
    with pytest.raises(SettingError, match=r"dataset\.factor = 19200: 3 photos at 2 resolutions need 10\.1 GB"):
        ImagePyramid(views, DatasetSettings(factor=19_200), (2, 1))
    monkeypatch.setattr(pyramid, "free_memory", lambda: needed)
    with pytest.raises(DataError, match=r"\.png"):
        ImagePyramid(views, DatasetSettings(factor=19_200), (2, 1))
