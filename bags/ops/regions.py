"""Regions of space: boxes and spheres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bags.ops.trajectories import focus
from bags.types import Camera, Splats

SOLID = 0.5  # smallest opacity of Gaussians that count as visible content


def solid(splats: Splats) -> Tensor:
    """(M, 3) centres of the Gaussians that count as visible content; if there are none, of all."""
    opaque = splats.means[splats.opacities > SOLID]
    return opaque if len(opaque) else splats.means


def inside(points: Tensor, region: Sequence[float]) -> Tensor:
    """(N,) bool: which of ``points`` (N, 3) lie in a sphere ``x, y, z, radius`` or a box given by two corners."""
    if len(region) == 4:
        return (points - points.new_tensor(region[:3])).norm(dim=1) <= region[3]
    return ((points >= points.new_tensor(region[:3])) & (points <= points.new_tensor(region[3:]))).all(dim=1)


def common_sphere(cameras: Sequence[Camera], points: Tensor) -> tuple[float, float, float, float]:
    """The sphere around what the cameras look at (``focus``) that half of them see completely: (x, y, z, radius).

    A camera at distance d with a narrower field of view of 2 a sees a sphere of radius d sin(a) completely. The radius
    is the median over the cameras.

    Args:
        cameras: at least one.
        points: (M, 3) world positions of the scene's content.
    """
    middle = focus(cameras, points)
    radii = [
        float(np.linalg.norm(camera.center.double().cpu().numpy() - middle)) * np.sin(np.arctan(min(camera.half_field)))
        for camera in cameras
    ]
    x, y, z = middle.tolist()
    return x, y, z, float(np.median(radii))


def extent(points: Tensor) -> str:
    """Bounding box of ``points`` (N, 3) as text: ``x -1 to 2, y 0 to 1, z 3 to 8``."""
    ends = torch.stack([points.amin(dim=0), points.amax(dim=0)], dim=1).tolist()
    return ", ".join(f"{axis} {low:.3g} to {high:.3g}" for axis, (low, high) in zip("xyz", ends, strict=True))
