"""Initial points where photos have no features to match: walls, sky, anything distant or uniform."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bags.datamodules.pyramid import ImagePyramid, as_float
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud

FAR = 0.99  # share of the points that are nearer than the background


def with_background(points: PointCloud, photos: ImagePyramid, count: int, seed: int) -> PointCloud:
    """``points`` and up to ``count`` more, on a sphere around the cameras and behind nearly all of the points.

    Each new point is a pixel of a photo at its coarsest resolution, drawn at random and projected from its camera onto
    the sphere, with the pixel's colour. So they lie only where photos look, and are denser where more photos look. No
    pixel is drawn twice, so there may be fewer than ``count``. Not part of the published method; docs/defaults.md has
    their effect.

    Args:
        points: at least one, finite.
        photos: training views.
        count: with 0, only ``points`` are returned.
        seed: of the draw.
    """
    if count == 0:
        return points
    cameras = [photos.camera(view, 0) for view in range(len(photos))]
    centers = torch.stack([camera.center.double() for camera in cameras])
    middle = centers.mean(dim=0)
    reach = (points.xyz.double() - middle).norm(dim=1).numpy()
    # At least twice the distance of the cameras, so that every camera is inside even if all points are near the middle.
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
    """How many to add to ``points``: as set, but at most half of what ``max_count`` allows; training adds the rest."""
    if settings.max_count is None:
        return settings.background_points
    return min(settings.background_points, max(0, settings.max_count - points) // 2)


def _on_sphere(camera: Camera, middle: Tensor, radius: float, column: Tensor, row: Tensor) -> Tensor:
    """(N, 3) intersections of a camera's rays with the sphere; the camera is inside it."""
    x, y = (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy
    directions = torch.stack([x, y, torch.ones_like(x)], dim=1).double() @ camera.rotation.double()
    directions /= directions.norm(dim=1, keepdim=True)
    center = camera.center.double()
    along = directions @ (center - middle)
    far = (along.square() - (center - middle).square().sum() + radius**2).sqrt() - along
    return center + far[:, None] * directions
