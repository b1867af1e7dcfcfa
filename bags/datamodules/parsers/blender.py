"""NeRF's Blender scenes (docs/datasets.md): ``transforms_train.json``, ``transforms_test.json`` and photos."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from bags.datamodules.parsers.cameras import FAR, FIELD, check_camera
from bags.datamodules.parsers.json_file import JsonObject, read_json
from bags.datamodules.parsers.photos import check_names, find_photo, scene_folder
from bags.io.images import IMAGE_SUFFIXES, image_size, read_image
from bags.settings import DatasetSettings
from bags.types import Camera, PointCloud, Scene, View

log = logging.getLogger(__name__)

# Other tools write files of this name with cameras that camera_angle_x cannot describe.
OTHER_CAMERAS = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4", "p1", "p2", "camera_model", "is_fisheye")
KNOWN = ("camera_angle_x", "frames", "file_path", "transform_matrix", "rotation")
NO_POINTS = PointCloud(torch.zeros(0, 3), torch.zeros(0, 3))


def parse_blender(settings: DatasetSettings) -> Scene:
    """Read a Blender scene; photos are found and measured, not loaded. It has no points to start from.

    Focal length ``width / (2 tan(camera_angle_x / 2))`` in pixels, principal point at the image centre.

    Args:
        settings: ``root`` is used.

    Raises:
        DataError: something is missing, damaged or does not fit together; says what and what to do.
    """
    root = scene_folder(settings)
    train, test = (_views(root, f"transforms_{split}.json") for split in ("train", "test"))
    check_names([*train, *test], root)
    return Scene(name=root.resolve().name, train=train, test=test, points=NO_POINTS)


def _views(root: Path, name: str) -> tuple[View, ...]:
    file = read_json(root / name, "a Blender scene has transforms_train.json and transforms_test.json in dataset.root")
    frames = file.parts("frames")
    angle = file.positive("camera_angle_x")
    if not 2 * FIELD[0] < angle < math.pi:
        raise file.fail("camera_angle_x", f"needs an angle in radians, above {2 * FIELD[0]:g} and below pi")
    for part in (file, *frames):
        if found := [key for key in OTHER_CAMERAS if key in part.values]:
            raise part.fail(found[0], "Blender's scenes have no such key, and it would be ignored; use dataset=colmap")
    if odd := sorted({key for part in (file, *frames) for key in part.unknown(KNOWN)}):
        log.warning("%s: unknown keys are ignored: %s", file.path, ", ".join(odd))
    return tuple(_view(root, frame, angle) for frame in frames)


def _view(root: Path, frame: JsonObject, angle: float) -> View:
    name = frame.text("file_path")
    if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
        name += ".png"  # as published: the files name no extension
    path = find_photo(root, name, f"{frame.path.name} {frame.where}.file_path", "restore it or take its frame out")
    width, height = image_size(path)
    focal = width / (2 * math.tan(angle / 2))
    camera = opengl_camera(frame, "transform_matrix", focal, width, height)
    return View(name=view_name(name), camera=camera, load=partial(read_image, path))


def view_name(name: str) -> str:
    """A view's name from its file's: ``./train/r_0.png`` is ``train_r_0.png``."""
    return "_".join(PurePosixPath(name).parts)


def opengl_camera(part: JsonObject, key: str, focal: float, width: int, height: int) -> Camera:
    """Camera from an OpenGL camera-to-world matrix: axes x right, y up, z backward.

    Args:
        part: of the file.
        key: of its (4, 4) matrix; its rotation may be off by 1 % and is made orthogonal.
        focal: in pixels.
        width: in pixels.
        height: in pixels.

    Raises:
        DataError: no rigid motion, or no camera (``check_camera``).
    """
    matrix = part.matrix(key)
    rotation = nearest_rotation(matrix[:3, :3]) if np.abs(matrix).max() < FAR else None
    if rotation is None or np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise part.fail(key, "needs a rotation (no scale, no mirror image) and a translation, last row 0 0 0 1")
    to_camera = (rotation * [1, -1, -1]).T  # columns are the camera's axes in the world: y and z turn round
    camera = Camera(
        rotation=torch.from_numpy(to_camera).float(),
        translation=torch.from_numpy(-to_camera @ matrix[:3, 3]).float(),
        fx=focal,
        fy=focal,
        width=width,
        height=height,
    )
    return check_camera(camera, f"{part.path}: {part.where}")


def nearest_rotation(matrix: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The rotation nearest to a (3, 3) matrix (by its singular values), or None where none is within 1 %."""
    left, stretch, right = np.linalg.svd(matrix)
    near = np.abs(stretch - 1).max() < 0.01 and np.linalg.det(matrix) > 0
    return left @ right if near else None
