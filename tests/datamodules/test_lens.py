"""One rule for all lenses: what bends no ray is a pinhole, what does is undistorted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pycolmap
import pytest
from PIL import Image

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.pyramid import ImagePyramid
from bags.errors import DataError
from bags.settings import DatasetSettings

pytestmark = pytest.mark.usefixtures("read_here")

STRAIGHT = {
    "SIMPLE_RADIAL": (60.0, 24.0, 16.0, 0.0),
    "RADIAL": (60.0, 24.0, 16.0, 0.0, -0.0),
    "OPENCV": (60.0, 60.0, 24.0, 16.0, 0.0, 0.0, 0.0, 0.0),
    "FULL_OPENCV": (60.0, 60.0, 24.0, 16.0, *[0.0] * 8),
    "FOV": (60.0, 60.0, 24.0, 16.0, 0.0),
    "SIMPLE_DIVISION": (60.0, 24.0, 16.0, 0.0),
    "EUCM": (60.0, 60.0, 24.0, 16.0, 0.0, 1.0),
}
BENT = {
    "SIMPLE_RADIAL": (120.0, 48.0, 32.0, -0.2),
    "RADIAL": (120.0, 48.0, 32.0, 0.1, 0.05),
    "OPENCV": (120.0, 124.0, 47.0, 33.0, -0.2, 0.05, 0.002, -0.003),
    "FULL_OPENCV": (120.0, 124.0, 47.0, 33.0, -0.2, 0.05, 0.002, -0.003, 0.01, 0.0, 0.0, 0.0),
    "OPENCV_FISHEYE": (120.0, 120.0, 48.0, 32.0, 0.0, 0.0, 0.0, 0.0),  # an equidistant lens is no pinhole
    "SIMPLE_RADIAL_FISHEYE": (120.0, 48.0, 32.0, 0.05),
    "FOV": (120.0, 120.0, 48.0, 32.0, 0.6),
}


def parsed(root, **kwargs):
    return parse_colmap(DatasetSettings(parser="colmap", root=str(root), hold=None, **kwargs))


def test_lenses_without_distortion_are_pinholes(colmap_scene, subtests):
    for model, params in STRAIGHT.items():
        with subtests.test(model):
            root = colmap_scene(model=model, params=params)
            view = parsed(root).train[0]
            size = view.camera.fx, view.camera.fy, view.camera.width, view.camera.height
            assert size == (60.0, 60.0, 48, 32)
            assert np.array_equal(view.load(), Image.open(root / "images/a.png"))


def ramp(width, height):
    """A photo whose red tells the column and whose green tells the row, at pixel centres, in half levels."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return Image.fromarray(np.stack([2 * columns, 2 * rows, 0 * rows], axis=2).round().astype(np.uint8))


def test_photos_are_undistorted(colmap_scene, subtests):
    for (model, params), photo_size in product(BENT.items(), [(96, 64), (120, 80)]):
        with subtests.test(model, photo_size=photo_size):
            root = colmap_scene(model=model, params=params, size=(96, 64), photo_size=photo_size)
            ramp(*photo_size).save(root / "images/b.png")
            view = parsed(root).train[1]
            lens = pycolmap.Camera(model=model, width=96, height=64, params=list(params))
            lens.rescale(*photo_size)
            photo, camera = np.array(view.load(), dtype=np.float64), view.camera
            assert photo.shape == (camera.height, camera.width, 3)
            rows, columns = np.mgrid[2 : camera.height - 2 : 7, 2 : camera.width - 2 : 7].reshape(2, -1)
            rays = [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(len(rows))]
            seen = np.asarray(lens.img_from_cam(np.column_stack(rays)))  # where the photo has what the view has there
            np.testing.assert_allclose(photo[rows, columns, :2], 2 * seen, atol=1.6)
            moved = np.abs(seen - np.column_stack([columns, rows]) - 0.5).max()
            assert moved > 1, "the test has no distortion to undo"


def test_transparency_is_undistorted_with_the_photo(colmap_scene):
    root = colmap_scene(model="SIMPLE_RADIAL", params=BENT["SIMPLE_RADIAL"], size=(96, 64))
    photo = ramp(96, 64).convert("RGBA")
    photo.putalpha(photo.getchannel("R"))
    photo.save(root / "images/a.png")
    red, _, _, alpha = np.moveaxis(np.array(parsed(root).train[0].load(), dtype=int), 2, 0)
    assert np.abs(red - alpha).max() <= 1 and red.max() > 150


def test_reduced_photos_of_a_distorted_lens_are_left(colmap_scene):
    root = colmap_scene(model="SIMPLE_RADIAL", params=BENT["SIMPLE_RADIAL"], size=(96, 64))
    (root / "images_2").mkdir()
    for path in (root / "images").iterdir():
        Image.new("RGB", (48, 32)).save(root / "images_2" / path.name)
    scene = parsed(root, factor=2)
    camera = scene.train[0].camera
    assert scene.train[0].load().size == (camera.width, camera.height) != (48, 32)
    assert ImagePyramid(scene.train, DatasetSettings(factor=2), [1]).camera(0, 0).width == round(camera.width / 2)


def test_lenses_that_cannot_be_undistorted(colmap_scene, subtests):
    for model, params, message in (
        ("OPENCV", (50.0, 52.0, 24.0, 16.0, 1e300, 0.0, 0.0, 0.0), r"distortion cannot be removed"),
        ("OPENCV", (50.0, 52.0, 24.0, 16.0, -50.0, 9.0, 9.0, 9.0), r"distortion cannot be removed"),
        ("OPENCV", (50.0, 52.0, 24.0, 16.0, np.nan, 0.0, 0.0, 0.0), r"impossible camera"),
        ("SIMPLE_RADIAL", (0.0, 24.0, 16.0, 0.1), r"focal lengths 0, 0"),
        ("EQUIRECTANGULAR", (48.0, 32.0), r"is a panorama"),
    ):
        root = colmap_scene(model=model, params=params)
        with subtests.test(model, params=params), pytest.raises(DataError, match=rf"images/a\.png.*{message}"):
            parsed(root)
