"""Cameras as a COLMAP model, for other programs that need the photos' poses."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pycolmap

from bags.io.atomic import replacing
from bags.types import Camera, PointCloud

FILES = ("cameras.bin", "images.bin", "points3D.bin")


def write_colmap(folder: Path, cameras: Mapping[str, Camera], points: PointCloud) -> list[Path]:
    """Write ``cameras.bin``, ``images.bin`` and ``points3D.bin``; each replaces an earlier one in one step.

    Views with the same intrinsics share a PINHOLE camera. COLMAP's pixel coordinates start at the image's edge instead
    of the first pixel's centre, so its principal point is ours plus a half.

    Args:
        folder: usually ``sparse/0``.
        cameras: of the photos, by file name.
        points: written without observations, which are not needed to show or to train a scene.

    Returns:
        The files.
    """
    model = pycolmap.Reconstruction()
    numbers: dict[tuple[float, ...], int] = {}
    for number, (name, camera) in enumerate(cameras.items(), start=1):
        intrinsics = (camera.width, camera.height, camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5)
        if intrinsics not in numbers:
            numbers[intrinsics] = len(numbers) + 1
            model.add_camera_with_trivial_rig(_camera(numbers[intrinsics], *intrinsics))
        image = pycolmap.Image(name=name, camera_id=numbers[intrinsics], image_id=number)
        model.add_image_with_trivial_frame(image, _pose(camera))
    for xyz, rgb in zip(points.xyz.double().cpu().numpy(), points.rgb.cpu().numpy(), strict=True):
        model.add_point3D(xyz, pycolmap.Track(), (rgb * 255).round().clip(0, 255).astype("uint8"))
    with tempfile.TemporaryDirectory(prefix="bags-colmap-") as scratch:
        model.write_binary(scratch)
        for file in FILES:
            with replacing(folder / file) as temporary:
                shutil.copyfile(Path(scratch, file), temporary)
    return [folder / file for file in FILES]


def _camera(number: int, width: float, height: float, *params: float) -> pycolmap.Camera:
    return pycolmap.Camera(camera_id=number, model="PINHOLE", width=int(width), height=int(height), params=list(params))


def _pose(camera: Camera) -> pycolmap.Rigid3d:
    rotation = pycolmap.Rotation3d(camera.rotation.double().cpu().numpy())
    return pycolmap.Rigid3d(rotation, camera.translation.double().cpu().numpy())
