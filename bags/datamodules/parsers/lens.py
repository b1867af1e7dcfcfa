"""Lenses: one rule for all of COLMAP's camera models.

A lens that bends no ray by more than a twentieth of a pixel is a pinhole, whatever its model is called. Photos of any
other are undistorted by pycolmap as they are read, as ``colmap image_undistorter`` would, with nothing blank at the
edges.
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

SEEN = 0.05  # pixels of the photo
BLANK = 0.02  # of the photo's sides by which an undistorted photo may reach beyond it
GRID = 9  # rays across and down that are looked at
ROUNDING = 2.0  # pixels by which a photo's shape may differ from its camera's: sizes were rounded on the way
PINHOLES = {"SIMPLE_PINHOLE": (0, 0, 1, 2), "PINHOLE": (0, 1, 2, 3)}  # where fx, fy, cx, cy stand among the parameters


@dataclass(frozen=True)
class PhotoView:
    """A view, its photo's file, and the lens that the photo is undistorted from as it is read; None: it is not."""

    view: View
    photo: Photo
    bent: ColmapCamera | None

    @property
    def name(self) -> str:
        """The view's."""
        return self.view.name


def photo_view(photo: Photo, lens: ColmapCamera, rotation: Tensor, translation: Tensor, source: str) -> PhotoView:
    """The view that a lens has of a photo, whatever size the lens was given for.

    Args:
        photo: its header is read.
        lens: of the whole photo, or of a resized copy.
        rotation: (3, 3) world to camera.
        translation: (3,) likewise, scene units.
        source: of the camera, for messages.

    Raises:
        DataError: not an image, another aspect ratio than the lens's, or an impossible camera.
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
    """A photo as a pinhole would have taken it.

    Raises:
        DataError: it cannot be read or undistorted.
    """
    return flattened(read_image(path), lens, path)


def flattened(photo: Image.Image, lens: ColmapCamera, path: Path) -> Image.Image:
    """``photo``, read from ``path`` and of one channel, three or four, as a pinhole would have taken it.

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
        # A Bitmap is of one channel or three.
        channels = [flat(np.ascontiguousarray(part)) for part in np.split(pixels, [3], axis=2) if part.size]
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path}: pycolmap cannot undistort it ({error}); undistort the photos first") from error
    return Image.fromarray(np.dstack(channels).squeeze())


def _pycolmap_camera(lens: ColmapCamera, size: tuple[int, int], where: str) -> Any:
    """The lens for photos of ``size``, known to be of finite numbers and to have been of a size that can be."""
    import pycolmap

    try:
        made = pycolmap.Camera(model=lens.model, width=lens.width, height=lens.height, params=list(lens.params))
        if not made.is_perspective():
            raise DataError(f"{where}: {lens.model} is a panorama; cut it into perspective photos")
        made.rescale(*size)
    except (ValueError, TypeError, RuntimeError) as error:
        params = ", ".join(f"{number:g}" for number in lens.params)
        problem = f"no camera model {shown(lens.model)} with parameters ({params})"
        raise DataError(f"{where}: {problem}; correct the file, or undistort the photos first") from error
    return made


def _intrinsics(camera: Any) -> tuple[float, float, float, float]:
    return camera.focal_length_x, camera.focal_length_y, camera.principal_point_x, camera.principal_point_y


def _is_pinhole(lens: Any) -> bool:
    pixels, bent = _through(lens, lens)
    return bool(np.abs(bent - pixels).max() < SEEN)  # not where one is NaN


def _through(flat: Any, lens: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (N, 2) all over the picture of ``flat``, as a pinhole, and those that ``lens`` has of their rays."""
    fx, fy, cx, cy = _intrinsics(flat)
    columns, rows = np.meshgrid(np.linspace(0, flat.width, GRID), np.linspace(0, flat.height, GRID))
    pixels = np.column_stack([columns.ravel(), rows.ravel()])
    rays = np.column_stack([(pixels - (cx, cy)) / (fx, fy), np.ones(len(pixels))])
    return pixels, np.asarray(lens.img_from_cam(rays))


def _flattened(lens: Any, where: str) -> Any:
    """The pinhole that pycolmap would undistort photos of ``lens`` to."""
    import pycolmap

    try:
        flat = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), lens)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{where}: its distortion cannot be undone ({error}); rerun the mapper") from error
    _, seen = _through(flat, lens)
    size = np.array([lens.width, lens.height])
    if not (np.abs(seen / size - 0.5) < 0.5 + BLANK).all():
        raise DataError(f"{where}: its distortion cannot be undone ({lens.params_to_string()}); rerun the mapper")
    return flat


def _check_shape(lens: ColmapCamera, path: Path, width: int, height: int) -> None:
    stretch = abs(width * lens.height / (height * lens.width) - 1)
    if stretch * min(width, height, lens.width, lens.height) > ROUNDING:
        raise DataError(
            f"{path}: {width} x {height} pixels do not have the aspect ratio of its camera, {lens.width} x"
            f" {lens.height}; use the photos that COLMAP used (not cropped, not rotated), or resized copies"
        )
