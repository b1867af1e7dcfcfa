"""Initial points where photos have no features to match: walls, sky, anything distant or uniform."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bags.datamodules.pyramid import ImagePyramid, as_float
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud

FAR = 0.99  # of the points are nearer to the cameras than the background


def with_background(points: PointCloud, photos: ImagePyramid, count: int, seed: int) -> PointCloud:
    """``points`` and ``count`` more on a sphere around the cameras, behind (nearly) all of them.

    Each is a pixel, drawn from all photos at their coarsest resolution, seen from its camera out to the sphere, and has
    that pixel's colour. So they lie only where some photo looks, as densely as photos look there. No pixel is drawn
    twice, so there may be fewer than ``count``. Not part of the published method; docs/defaults.md: what they bring.

    Args:
        points: at least one, finite.
        photos: training views.
        count: 0: only ``points``.
        seed: of the draw.
    """
    if count == 0:
        return points
    cameras = [photos.camera(view, 0) for view in range(len(photos))]
    centers = torch.stack([camera.center.double() for camera in cameras])
    middle = centers.mean(dim=0)
    reach = (points.xyz.double() - middle).norm(dim=1).numpy()
    # Also where all points are nearer to the middle than some camera is, every camera looks from inside.
    radius = max(float(np.quantile(reach, FAR)), 2 * float((centers - middle).norm(dim=1).max()))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(cameras), (count,), generator=generator).bincount(minlength=len(cameras)).tolist()
    xyz, rgb = [points.xyz], [points.rgb]
    for view, (camera, number) in enumerate(zip(cameras, drawn, strict=True)):
        pixel = torch.randperm(camera.width * camera.height, generator=generator)[:number]
        row, column = pixel // camera.width, pixel % camera.width
        xyz.append(_on_sphere(camera, middle, radius, column, row).to(points.xyz))
        rgb.append(as_float(photos.pixels(view, 0)[:3, row, column].T).to(points.rgb))
    return PointCloud(torch.cat(xyz), torch.cat(rgb))


def count_beside(points: int, settings: GaussianSettings) -> int:
    """How many to add to ``points``: as set, but half of the room up to the limit stays for what training adds."""
    if settings.max_count is None:
        return settings.background_points
    return min(settings.background_points, max(0, settings.max_count - points) // 2)


def _on_sphere(camera: Camera, middle: Tensor, radius: float, column: Tensor, row: Tensor) -> Tensor:
    """(N, 3) where the rays of a camera within the sphere meet it."""
    x, y = (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy
    directions = torch.stack([x, y, torch.ones_like(x)], dim=1).double() @ camera.rotation.double()
    directions /= directions.norm(dim=1, keepdim=True)
    center = camera.center.double()
    along = directions @ (center - middle)
    far = (along.square() - (center - middle).square().sum() + radius**2).sqrt() - along
    return center + far[:, None] * directions
