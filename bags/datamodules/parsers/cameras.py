"""Checks of cameras."""

from __future__ import annotations

import torch

from bags.errors import DataError
from bags.types import Camera

FAR = 1e9  # scene units from the origin; beyond, float32 cannot distinguish places that are 100 units apart
FIELD = 1e-5, 1e3  # range of the tangents of half the field of view
ASIDE = 10  # largest offset of the principal point from the centre, relative to width and height of the picture
SQUARE = 1e-3  # largest difference of rotation @ rotation.T from the identity
REMEDY = "correct the file, or create it again"


def check_camera(camera: Camera, where: str) -> Camera:
    """``camera``, if it is valid.

    Args:
        camera: of a photo, as a file describes it.
        where: the file, and the place in it.

    Raises:
        DataError: it is non-finite or too far away, its rotation is none, or its lens is impossible.
    """
    turn = camera.rotation.double()
    off = abs(camera.offset[0]) / camera.width, abs(camera.offset[1]) / camera.height
    if not bool((camera.translation.abs() < FAR).all() and (camera.center.abs() < FAR).all()):
        raise DataError(
            f"{where}: the camera's position is non-finite, or more than {FAR:g} units from the origin; {REMEDY}"
        )
    if not bool(((turn @ turn.T - torch.eye(3)).abs() < SQUARE).all() and turn.det() > 0):
        raise DataError(f"{where}: the camera's rotation is not a rotation matrix; {REMEDY}")
    if (
        not min(camera.fx, camera.fy) > 0
        or not all(FIELD[0] < half < FIELD[1] for half in camera.half_field)
        or not max(off) < ASIDE
    ):
        lens = f"focal lengths {camera.fx:g}, {camera.fy:g}, principal point {camera.cx:g}, {camera.cy:g}"
        raise DataError(f"{where}: impossible lens: {lens} pixels, of {camera.width} x {camera.height}; {REMEDY}")
    return camera
