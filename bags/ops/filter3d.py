"""Mip-Splatting's 3D smoothing filter (docs/method.md section 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bags.types import Camera

NEAR = 0.2
BORDER = 0.15  # margin around the image that still counts as seen, as a fraction of its size


def smallest_depth(means: Tensor, cameras: Sequence[Camera]) -> tuple[Tensor, Tensor]:
    """Smallest view depth of each point over the cameras that see it.

    Args:
        means: (N, 3) world positions.
        cameras: training cameras.

    Returns:
        (N,) depths in scene units (infinite where unseen) and (N,) bool: seen by any camera.
    """
    depth = torch.full_like(means[:, 0], torch.inf)
    for camera in cameras:
        x, y, z = (means @ camera.rotation.to(means).T + camera.translation.to(means)).T.contiguous()
        # |x / z| * focal within half the image and its margin, without dividing by a depth that may be 0 or negative.
        wide = (0.5 + BORDER) * camera.width / camera.fx
        high = (0.5 + BORDER) * camera.height / camera.fy
        seen = (z > NEAR) & (x.abs() <= wide * z) & (y.abs() <= high * z) & (z < depth)
        depth = torch.where(seen, z, depth)
    return depth, depth.isfinite()


def filter_sigma(means: Tensor, cameras: Sequence[Camera], variance: float = 0.2) -> Tensor:
    """Standard deviation of the smoothing filter of each Gaussian.

    ``sigma = sqrt(variance) * smallest depth / largest focal length``; points that no camera sees get the largest
    depth of the seen ones.

    Args:
        means: (N, 3) world positions.
        cameras: training cameras at the current training resolution.
        variance: in units of a pixel's footprint (published: 0.2).

    Returns:
        (N,) in scene units.
    """
    depth, seen = smallest_depth(means, cameras)
    farthest = depth[seen].max() if bool(seen.any()) else torch.zeros((), dtype=means.dtype, device=means.device)
    focal = max(max(camera.fx, camera.fy) for camera in cameras)
    return torch.where(seen, depth, farthest) * (variance**0.5 / focal)


def opacity_coefficient(scales: Tensor, sigma: Tensor) -> Tensor:
    """Factor on the opacity that preserves a filtered Gaussian's mass: ``sqrt(prod s^2 / prod (s^2 + sigma^2))``.

    Args:
        scales: (N, 3) unfiltered standard deviations.
        sigma: (N,) filter.

    Returns:
        (N,) in (0, 1].
    """
    square = scales.square()
    return (square / (square + sigma[:, None].square())).prod(dim=1).sqrt()
