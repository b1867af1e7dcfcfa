"""Conversion between the browser's camera and ours.

The browser (viser) gives camera-to-world poses with OpenCV's axes (x right, y down, z forward), as a quaternion wxyz
and a position, and one vertical field of view; ``Camera`` is world-to-camera. For both, the picture extends half a
pixel beyond the centres of the outer pixels, so ``f = height / (2 tan(fov / 2))`` and the principal point is the
centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from bags.ops.geometry import quaternion_to_rotation
from bags.types import Camera

FAR = 1e9  # scene units; positions beyond are rejected
FOV = (0.01, 3.1)  # radians
CANVAS = 20_000  # largest width or height of a browser's window in pixels
LONGEST = 10  # largest aspect ratio of a browser's window
SMALLEST = 16  # smallest width or height of a picture in pixels
SAME_ANGLE = 2e-3  # radians; browsers store poses in float32 and as look-at points
SAME_PLACE = 1e-3  # relative to the scene's extent


@dataclass(frozen=True)
class Eye:
    """A free camera before its resolution is chosen.

    Attributes:
        wxyz: camera-to-world rotation, a unit quaternion.
        position: camera centre in world coordinates, scene units.
        fov: vertical field of view, radians.
        width, height: of the browser's canvas, pixels.
    """

    wxyz: tuple[float, ...]
    position: tuple[float, ...]
    fov: float
    width: int
    height: int

    @classmethod
    def reported(cls, camera: Any) -> Eye | None:
        """The camera that a browser reports (``viser.CameraHandle``); None if its values are invalid."""
        try:
            wxyz = [float(value) for value in camera.wxyz]
            position = [float(value) for value in camera.position]
            fov, width, height = float(camera.fov), int(camera.image_width), int(camera.image_height)
        except (TypeError, ValueError, OverflowError):
            return None
        norm = math.sqrt(sum(value * value for value in wxyz)) if len(wxyz) == 4 else math.nan
        near = len(position) == 3 and all(abs(value) < FAR for value in position)
        short, long = sorted((width, height))
        sized = short >= 1 and long <= min(CANVAS, LONGEST * short)
        if not (0.5 < norm < 2 and near and sized and FOV[0] <= fov <= FOV[1]):
            return None
        return cls(tuple(value / norm for value in wxyz), tuple(position), fov, width, height)

    @classmethod
    def at(cls, camera: Camera, width: int, height: int) -> Eye:
        """The eye that sees, on a canvas of ``width`` x ``height``, everything that ``camera`` sees."""
        x, y, z, w = Rotation.from_matrix(camera.rotation.detach().cpu().double().numpy().T).as_quat()
        across, down = camera.half_field
        fov = 2 * math.atan(max(down, across * height / width))
        position = tuple(camera.to("cpu", torch.float64).center.tolist())
        return cls((float(w), float(x), float(y), float(z)), position, fov, width, height)

    def camera(self, pixels: float) -> Camera:
        """Our camera, with the canvas's aspect ratio and about ``pixels`` pixels, but no more than the canvas has."""
        scale = min(1.0, math.sqrt(pixels / (self.width * self.height)))
        width, height = (max(SMALLEST, round(side * scale)) for side in (self.width, self.height))
        rotation = quaternion_to_rotation(torch.tensor(self.wxyz, dtype=torch.float64)).T
        translation = -rotation @ torch.tensor(self.position, dtype=torch.float64)
        focal = height / (2 * math.tan(self.fov / 2))
        return Camera(rotation.float(), translation.float(), focal, focal, width, height)

    @property
    def axes(self) -> np.ndarray:
        """(3, 3): columns are the directions right, down and forward in the world."""
        return quaternion_to_rotation(torch.tensor(self.wxyz, dtype=torch.float64)).numpy()

    def is_at(self, other: Eye, extent: float) -> bool:
        """Whether place and direction are the same, within a browser's precision."""
        # q and -q are the same rotation. The distance of unit quaternions is about half the angle between them.
        apart = min(math.dist(self.wxyz, [sign * value for value in other.wxyz]) for sign in (1, -1))
        return 2 * apart < SAME_ANGLE and math.dist(self.position, other.position) < SAME_PLACE * extent
