"""COLMAP scenes (docs/method.md section 5): ``images/`` and ``sparse/0/{cameras,images,points3D}.{bin,txt}``."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray

from bags.datamodules.parsers.cameras import FAR
from bags.datamodules.parsers.colmap_files import ColmapImage, ColmapModel, read_model
from bags.datamodules.parsers.layout import model_folder, photo_folder
from bags.datamodules.parsers.lens import PhotoView, photo_view
from bags.datamodules.parsers.photos import PhotoFolder, scene_folder
from bags.datamodules.parsers.scenes import divided
from bags.errors import DataError
from bags.ops.geometry import quaternion_to_rotation
from bags.settings import DatasetSettings
from bags.types import PointCloud, Scene

log = logging.getLogger(__name__)


def parse_colmap(settings: DatasetSettings) -> Scene:
    """Read a COLMAP scene; photos are located and their sizes read, but not loaded.

    Views are sorted by name; ``split`` says which of them are test views. Cameras are scaled to the photos' size,
    whatever size COLMAP used. A principal point off the image centre becomes the camera's ``offset`` (the published
    code ignores it). Photos of a distorted lens are undistorted when they are read (the published code does not do so
    for OPENCV cameras). As in COLMAP, the EXIF orientation is ignored. If the model has no points, the scene has none.

    Args:
        settings: ``root``, ``images``, ``sparse``, ``reduced_images``, ``factor``, ``missing_photos`` and ``hold`` are
            used.

    Raises:
        DataError: something is missing, damaged or inconsistent; says what, and what to do.
    """
    root = scene_folder(settings)
    place = model_folder(root, settings)
    model = read_model(place)
    if not model.images:
        raise DataError(f"{place}: COLMAP registered no photo; run it again with other settings")
    images = sorted(model.images, key=lambda image: image.name)
    folder = photo_folder(root, place, [image.name for image in images], settings)
    points = point_cloud(model.xyz, model.rgb)
    if not len(points.xyz):
        log.warning("%s has no initial points: random ones are used (model.gaussians.random_points)", place)
    return divided(root, images, lambda image: _view(image, model, folder), folder, points, settings)


def point_cloud(xyz: NDArray[np.float64], rgb: NDArray[np.float64]) -> PointCloud:
    """Point cloud from positions and colours (0 to 255), without points that are non-finite or too far away."""
    good = (np.abs(xyz) < FAR).all(axis=1)
    places, colours = (torch.from_numpy(array[good]).float() for array in (xyz, rgb))
    return PointCloud(places, colours / 255)


def _view(image: ColmapImage, model: ColmapModel, folder: PhotoFolder) -> PhotoView:
    if image.camera_id not in model.cameras:
        raise DataError(
            f"{folder.path.parent}: photo {image.name} has camera {image.camera_id}, which is missing in cameras.*;"
            " copy the whole sparse model again, or rerun the mapper"
        )
    photo = folder.find(image.name, "COLMAP", "set dataset.images or restore it")
    lens = model.cameras[image.camera_id]
    if not (
        all(map(math.isfinite, (*lens.params, *image.quaternion, *image.translation)))
        and any(image.quaternion)
        and min(lens.width, lens.height) > 0
    ):
        raise DataError(
            f"{photo.path}: COLMAP gives this photo an impossible camera ({lens}, {image}); rerun the mapper"
        )
    rotation = quaternion_to_rotation(torch.tensor(image.quaternion, dtype=torch.float64))
    return photo_view(photo, lens, rotation, torch.tensor(image.translation, dtype=torch.float64), "COLMAP's camera")
