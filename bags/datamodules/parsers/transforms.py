"""NeRF's ``transforms*.json`` and its variants: a photo's file, lens and camera pose."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bags.datamodules.parsers.cameras import FAR, FIELD
from bags.datamodules.parsers.colmap_files import ColmapCamera
from bags.datamodules.parsers.json_file import JsonObject
from bags.datamodules.parsers.lens import PhotoView, photo_view
from bags.datamodules.parsers.photos import PhotoFolder
from bags.io.images import IMAGE_SUFFIXES, image_size

log = logging.getLogger(__name__)

RADIAL = ("k1", "k2", "k3", "k4", "k5", "k6")
LENS = ("camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy", "w", "h", *RADIAL, "p1", "p2")
MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE")
USED = (*LENS, "camera_model", "is_fisheye", "distortion_params", "frames", "file_path", "transform_matrix")
# Keys of other tools that do not affect the training: where depth maps are, how sharp a photo is, ...
HARMLESS = (
    "rotation", "aabb_scale", "scale", "offset", "sharpness", "near", "far", "timestamp", "time", "colmap_im_id",
    "depth_file_path", "applied_transform", "applied_scale", "orientation_override", "ply_file_path", "n_frames",
    "train_filenames", "val_filenames", "test_filenames",
)  # fmt: skip
AGREE = 0.01  # largest relative difference of a focal length and an angle of view for the same photo


def warn_unknown(parts: Sequence[JsonObject]) -> None:
    """Warn once about keys that are not used."""
    if odd := sorted({key for part in parts for key in part.unknown((*USED, *HARMLESS))}):
        log.warning("%s: unknown keys are ignored: %s", parts[0].path, ", ".join(odd))


def frame_view(file: JsonObject, frame: JsonObject, folder: PhotoFolder) -> PhotoView:
    """The view of a frame, with the frame's intrinsics or, if it has none, those of the file.

    Args:
        file: top-level object of the file.
        frame: one of its frames.
        folder: to which paths are relative.

    Raises:
        MissingPhoto: its photo is missing.
        DataError: something is damaged or inconsistent; says what, and what to do.
    """
    name = frame.text("file_path")
    if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
        name += ".png"  # the published files have no extensions
    photo = folder.find(name, f"{frame.path.name} {frame.where}.file_path", "restore it, or remove its frame")
    rotation, translation = opengl_pose(frame, "transform_matrix")
    lens = _lens(file, frame, *image_size(photo.path))
    return photo_view(photo, lens, rotation, translation, f"{frame.path.name} {frame.where}")


def opengl_pose(part: JsonObject, key: str) -> tuple[Tensor, Tensor]:
    """World-to-camera rotation (3, 3) and translation (3,), from camera to world with axes x right, y up, z backward.

    Args:
        part: of the file.
        key: of its matrix, 4 x 4 or without its last row; the rotation may be off by 1 % and is made orthogonal.

    Raises:
        DataError: it is not a rigid motion.
    """
    matrix = part.matrix(key)
    rotation = nearest_rotation(matrix[:3, :3]) if np.abs(matrix).max() < FAR else None
    if rotation is None or np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise part.fail(key, "needs a rotation (without scale or reflection) and a translation, last row 0 0 0 1")
    to_camera = (rotation * [1, -1, -1]).T  # columns are the camera's axes in the world: y and z are flipped
    return torch.from_numpy(to_camera.copy()), torch.from_numpy(-to_camera @ matrix[:3, 3])


def nearest_rotation(matrix: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The rotation nearest to a (3, 3) matrix, by its singular values; None if no rotation is within 1 %."""
    left, stretch, right = np.linalg.svd(matrix)
    near = np.abs(stretch - 1).max() < 0.01 and np.linalg.det(matrix) > 0
    return left @ right if near else None


def _lens(file: JsonObject, frame: JsonObject, width: int, height: int) -> ColmapCamera:
    """The lens of a photo of ``width`` x ``height``; if the file states no size, it has that size."""

    def holder(key: str) -> JsonObject:
        return frame if key in frame.values else file

    def number(key: str, default: float = 0.0) -> float:
        return holder(key).number(key) if key in holder(key).values else default

    size = [holder(k).positive(k) if k in holder(k).values else side for k, side in (("w", width), ("h", height))]
    fx = _focal(holder("fl_x"), holder("camera_angle_x"), "x", size[0])
    if "fl_y" in holder("fl_y").values or "camera_angle_y" in holder("camera_angle_y").values:
        fy = _focal(holder("fl_y"), holder("camera_angle_y"), "y", size[1])
    else:
        fy = fx
    bent = {key: number(key) for key in (*RADIAL, "p1", "p2")}
    model = _model(holder("camera_model"), holder("is_fisheye"), bent)
    if "distortion_params" in holder("distortion_params").values:
        raise holder("distortion_params").fail(
            "distortion_params", "not supported; give k1, k2, p1, p2 instead, or undistort the photos"
        )
    for key in ("k5", "k6", *(("k4",) if model != "OPENCV_FISHEYE" else ("p1", "p2"))):
        if bent[key]:
            raise holder(key).fail(key, "no supported lens model has it; undistort the photos first")
    order = {
        "OPENCV": ("k1", "k2", "p1", "p2"),
        "OPENCV_FISHEYE": RADIAL[:4],
        "FULL_OPENCV": ("k1", "k2", "p1", "p2", "k3"),
    }
    params = [
        fx,
        fy,
        number("cx", size[0] / 2),
        number("cy", size[1] / 2),
        *(bent[key] for key in order.get(model, ())),
    ]
    params += [0.0] * 3 * (model == "FULL_OPENCV")
    return ColmapCamera(model, max(1, round(size[0])), max(1, round(size[1])), tuple(params))


def _focal(length: JsonObject, angle: JsonObject, axis: str, side: float) -> float:
    """Focal length in pixels of a photo with ``side`` pixels along the axis, given as length, angle of view or both."""
    key, angle_key = f"fl_{axis}", f"camera_angle_{axis}"
    if key not in length.values or angle_key in angle.values:
        view = angle.positive(angle_key)
        if not 2 * FIELD[0] < view < math.pi:
            raise angle.fail(angle_key, f"needs an angle in radians, above {2 * FIELD[0]:g} and below pi")
        said = side / (2 * math.tan(view / 2))
        if key not in length.values:
            return said
        if abs(length.positive(key) / said - 1) > AGREE:
            raise length.fail(key, f"{angle_key} of {angle.path.name} means {said:g}; remove the wrong one")
    return length.positive(key)


def _model(camera: JsonObject, fisheye: JsonObject, bent: dict[str, float]) -> str:
    """COLMAP's name of the simplest model that can represent the distortion."""
    name = camera.text("camera_model").upper() if camera.values.get("camera_model") is not None else "OPENCV"
    if name not in MODELS:
        raise camera.fail("camera_model", f"needs one of {', '.join(MODELS)}; undistort the photos first")
    if name == "OPENCV_FISHEYE" or fisheye.values.get("is_fisheye") not in (None, False):
        return "OPENCV_FISHEYE"
    if not any(bent.values()):
        return "PINHOLE"
    return "FULL_OPENCV" if bent["k3"] else "OPENCV"
