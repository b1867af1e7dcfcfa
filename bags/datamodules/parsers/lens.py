"""Lenses: one rule for all of COLMAP's camera models.

A lens that distorts by no more than a twentieth of a pixel is treated as a pinhole, whatever its model. Photos of other
lenses are undistorted by pycolmap when they are read, as by ``colmap image_undistorter``, without blank edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bags.datamodules.parsers.cameras import check_camera
from bags.datamodules.parsers.colmap_files import ColmapCamera
from bags.datamodules.parsers.photos import Photo
from bags.errors import DataError, shown
from bags.io.images import image_size, read_image
from bags.types import Camera, View

SEEN = 0.05  # smallest distortion in pixels that is undone
BLANK = 0.02  # how far an undistorted photo may extend beyond the original, relative to its sides
GRID = 9  # rays checked along each axis
ROUNDING = 2.0  # pixels by which a photo's shape may differ from its camera's, because sizes are rounded
PINHOLES = {"SIMPLE_PINHOLE": (0, 0, 1, 2), "PINHOLE": (0, 1, 2, 3)}  # indices of fx, fy, cx, cy in the parameters


@dataclass(frozen=True)
class PhotoView:
    """A view, its photo's file, and the lens whose distortion is removed when the photo is read, or None."""

    view: View
    photo: Photo
    bent: ColmapCamera | None

    @property
    def name(self) -> str:
        """Name of the view."""
        return self.view.name


def photo_view(photo: Photo, lens: ColmapCamera, rotation: Tensor, translation: Tensor, source: str) -> PhotoView:
    """The view of a photo with a given lens, which is scaled to the photo's size.

    Args:
        photo: its header is read.
        lens: of the whole photo, or of a resized copy.
        rotation: (3, 3) world to camera.
        translation: (3,) world to camera, in scene units.
        source: of the camera, for messages.

    Raises:
        DataError: it is not an image, its aspect ratio differs from the lens's, or the camera is impossible.
    """
    where = f"{photo.path}: {source}"
    width, height = image_size(photo.path)
    _check_shape(lens, photo.path, width, height)

    def camera(size: tuple[int, int], intrinsics: tuple[float, float, float, float]) -> Camera:
        fx, fy, cx, cy = intrinsics
        offset = cx - size[0] / 2, cy - size[1] / 2
        return Camera(rotation.float(), translation.float(), fx, fy, *size, offset)

    if lens.model in PINHOLES:
        fx, fy, cx, cy = (lens.params[place] for place in PINHOLES[lens.model])
        found = camera((lens.width, lens.height), (fx, fy, cx, cy)).resized(width, height)
        return PhotoView(View(photo.name, check_camera(found, where), partial(read_image, photo.path)), photo, None)
    bent = _pycolmap_camera(lens, (width, height), where)
    found = check_camera(camera((width, height), _intrinsics(bent)), where)
    if _is_pinhole(bent):
        return PhotoView(View(photo.name, found, partial(read_image, photo.path)), photo, None)
    flat = _flattened(bent, where)
    found = check_camera(camera((flat.width, flat.height), _intrinsics(flat)), f"{where}, undistorted")
    return PhotoView(View(photo.name, found, partial(read_undistorted, photo.path, lens)), photo, lens)


def read_undistorted(path: Path, lens: ColmapCamera) -> Image.Image:
    """A photo, undistorted to a pinhole camera.

    Raises:
        DataError: it cannot be read or undistorted.
    """
    return flattened(read_image(path), lens, path)


def flattened(photo: Image.Image, lens: ColmapCamera, path: Path) -> Image.Image:
    """``photo``, read from ``path`` and with one, three or four channels, undistorted to a pinhole camera.

    Raises:
        DataError: it cannot be undistorted.
    """
    import pycolmap

    bent = _pycolmap_camera(lens, photo.size, str(path))

    def flat(pixels: Any) -> Any:
        options = pycolmap.UndistortCameraOptions()
        return pycolmap.undistort_image(options, pycolmap.Bitmap.from_array(pixels), bent)[0].to_array()

    pixels = np.atleast_3d(np.array(photo))
    try:
        # A Bitmap has one channel or three.
        channels = [flat(np.ascontiguousarray(part)) for part in np.split(pixels, [3], axis=2) if part.size]
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path}: pycolmap cannot undistort it ({error}); undistort the photos first") from error
    return Image.fromarray(np.dstack(channels).squeeze())


def _pycolmap_camera(lens: ColmapCamera, size: tuple[int, int], where: str) -> Any:
    """The lens, scaled to photos of ``size``; its numbers must be finite and its own size positive."""
    import pycolmap

    try:
        made = pycolmap.Camera(model=lens.model, width=lens.width, height=lens.height, params=list(lens.params))
        if not made.is_perspective():
            raise DataError(f"{where}: {lens.model} is a panorama; convert it to perspective photos")
        made.rescale(*size)
    except (ValueError, TypeError, RuntimeError) as error:
        params = ", ".join(f"{number:g}" for number in lens.params)
        problem = f"there is no camera model {shown(lens.model)} with parameters ({params})"
        raise DataError(f"{where}: {problem}; correct the file, or undistort the photos first") from error
    return made


def _intrinsics(camera: Any) -> tuple[float, float, float, float]:
    return camera.focal_length_x, camera.focal_length_y, camera.principal_point_x, camera.principal_point_y


def _is_pinhole(lens: Any) -> bool:
    pixels, bent = _through(lens, lens)
    return bool(np.abs(bent - pixels).max() < SEEN)  # False if one is NaN


def _through(flat: Any, lens: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A grid of pixels (N, 2) of ``flat``, taken as a pinhole, and the pixels of ``lens`` that see the same rays."""
    fx, fy, cx, cy = _intrinsics(flat)
    columns, rows = np.meshgrid(np.linspace(0, flat.width, GRID), np.linspace(0, flat.height, GRID))
    pixels = np.column_stack([columns.ravel(), rows.ravel()])
    rays = np.column_stack([(pixels - (cx, cy)) / (fx, fy), np.ones(len(pixels))])
    return pixels, np.asarray(lens.img_from_cam(rays))


def _flattened(lens: Any, where: str) -> Any:
    """The pinhole camera to which pycolmap undistorts photos of ``lens``."""
    import pycolmap

    try:
        flat = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), lens)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{where}: its distortion cannot be removed ({error}); rerun the mapper") from error
    _, seen = _through(flat, lens)
    size = np.array([lens.width, lens.height])
    if not (np.abs(seen / size - 0.5) < 0.5 + BLANK).all():
        raise DataError(f"{where}: its distortion cannot be removed ({lens.params_to_string()}); rerun the mapper")
    return flat


def _check_shape(lens: ColmapCamera, path: Path, width: int, height: int) -> None:
    stretch = abs(width * lens.height / (height * lens.width) - 1)
    if stretch * min(width, height, lens.width, lens.height) > ROUNDING:
        raise DataError(
            f"{path}: its size of {width} x {height} pixels does not have the aspect ratio of its camera, {lens.width}"
            f" x {lens.height}; use the photos that COLMAP used (not cropped, not rotated), or resized copies"
        )
