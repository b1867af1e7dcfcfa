"""COLMAP scenes (docs/method.md section 5): ``images/`` and ``sparse/0/{cameras,images,points3D}.{bin,txt}``."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bags.datamodules.parsers.cameras import FAR, check_camera
from bags.datamodules.parsers.colmap_files import ColmapCamera, ColmapImage, ColmapModel, read_model
from bags.datamodules.parsers.photos import check_names, find_photo, reduced, scene_folder
from bags.datamodules.parsers.split import split
from bags.errors import DataError
from bags.io.images import image_size, read_image
from bags.ops.geometry import quaternion_to_rotation
from bags.settings import DatasetSettings
from bags.types import Camera, PointCloud, Scene, View

log = logging.getLogger(__name__)

UNDISTORT = "undistort the photos first: `colmap image_undistorter` or `pycolmap.undistort_images`"
ROUNDING = 2.0  # pixels by which a photo's shape may differ from its camera's: sizes were rounded on the way


def parse_colmap(settings: DatasetSettings) -> Scene:
    """Read a COLMAP scene; photos are found and measured, not loaded.

    Views are sorted by name; which of them are test views: see ``split``. Cameras are those
    of the photos' own size, whatever size COLMAP worked at; a principal point off the image centre becomes the camera's
    ``offset`` (the published code ignores it). Photos count as stored (EXIF orientation ignored, as COLMAP does).

    Args:
        settings: ``root``, ``images``, ``reduced_images``, ``factor`` and ``hold`` are used.

    Raises:
        DataError: something is missing, damaged, distorted or does not fit together; says what and what to do.
    """
    root = scene_folder(settings)
    model = read_model(_sparse_folder(root))
    views = _views(model, root / settings.images)
    if settings.reduced_images:
        views = reduced(views, sorted(image.name for image in model.images), root / settings.images, settings.factor)
    train, test = split(views, root, settings.hold)
    if not train:
        raise DataError(f"{root}: no training view among {len(views)} photos with dataset.hold={settings.hold}")
    return Scene(name=root.resolve().name, train=train, test=test, points=_points(model, root))


def _sparse_folder(root: Path) -> Path:
    for folder in (root / "sparse" / "0", root / "sparse"):
        if any(folder.glob("cameras.*")) or any(folder.glob("images.*")):
            return folder
    remedy = f"run COLMAP on the photos first, or let it be done: python run.py task=reconstruct source={root}"
    raise DataError(f"{root}: no COLMAP model in sparse/0/ or sparse/; {remedy}")


def _points(model: ColmapModel, root: Path) -> PointCloud:
    good = (np.abs(model.xyz) < FAR).all(axis=1)
    if not good.any():
        raise DataError(
            f"{root}: the COLMAP model has no points to start from; rerun the mapper (or point_triangulator)"
        )
    xyz, rgb = (torch.from_numpy(array[good]).float() for array in (model.xyz, model.rgb))
    return PointCloud(xyz, rgb / 255)


def _views(model: ColmapModel, folder: Path) -> tuple[View, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of photos; set dataset.images to its name below dataset.root")
    if not model.images:
        raise DataError(f"{folder.parent}: COLMAP registered no photo; rerun it with other settings")
    for camera in model.cameras.values():
        _warn_if_distorted(camera)
    views = tuple(_view(image, model, folder) for image in sorted(model.images, key=lambda image: image.name))
    check_names(views, folder)
    return views


def _view(image: ColmapImage, model: ColmapModel, folder: Path) -> View:
    if image.camera_id not in model.cameras:
        raise DataError(f"{folder.parent}: photo {image.name} has camera {image.camera_id}, which cameras.* lacks")
    path = find_photo(folder, image.name, "COLMAP", "set dataset.images or restore it")
    camera = _camera(image, model.cameras[image.camera_id], path)
    return View(name=image.name.replace("/", "_"), camera=camera, load=partial(read_image, path))


def _warn_if_distorted(camera: ColmapCamera) -> None:
    if camera.model == "OPENCV" and any(camera.params[4:]):
        log.warning("OPENCV camera taken as undistorted, though its distortion is %s; %s", camera.params[4:], UNDISTORT)


def _pinhole(camera: ColmapCamera) -> tuple[float, float, float, float]:
    """Focal lengths and principal point in pixels of the camera's size (the image's left edge is 0)."""
    if camera.model == "SIMPLE_PINHOLE":
        focal, cx, cy = camera.params
        return focal, focal, cx, cy
    if camera.model in ("PINHOLE", "OPENCV"):
        fx, fy, cx, cy = camera.params[:4]
        return fx, fy, cx, cy
    raise DataError(f"COLMAP camera model {camera.model} has lens distortion; {UNDISTORT} (or map with PINHOLE)")


def _camera(image: ColmapImage, camera: ColmapCamera, path: Path) -> Camera:
    fx, fy, cx, cy = _pinhole(camera)
    numbers = (*camera.params, *image.quaternion, *image.translation)
    if not (
        all(map(math.isfinite, numbers)) and any(image.quaternion) and min(fx, fy, camera.width, camera.height) > 0
    ):
        raise DataError(f"{path}: COLMAP gives this photo an impossible camera ({camera}, {image}); rerun the mapper")
    width, height = image_size(path)
    _check_shape(camera, path, width, height)
    found = Camera(
        rotation=quaternion_to_rotation(torch.tensor(image.quaternion, dtype=torch.float64)).float(),
        translation=torch.tensor(image.translation, dtype=torch.float32),
        fx=fx,
        fy=fy,
        width=camera.width,
        height=camera.height,
        offset=(cx - camera.width / 2, cy - camera.height / 2),
    ).resized(width, height)
    return check_camera(found, f"{path}: COLMAP's camera")


def _check_shape(camera: ColmapCamera, path: Path, width: int, height: int) -> None:
    stretch = abs(width * camera.height / (height * camera.width) - 1)
    if stretch * min(width, height, camera.width, camera.height) > ROUNDING:
        raise DataError(
            f"{path}: {width} x {height} pixels do not have the shape of its COLMAP camera, {camera.width} x"
            f" {camera.height}; use the photos COLMAP saw (uncropped, not rotated) or resized copies of them"
        )
