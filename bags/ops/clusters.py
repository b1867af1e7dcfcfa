"""k-means clustering."""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 2**24  # distances in memory


def clusters(points: Tensor, count: int, rounds: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm, starting from randomly drawn points.

    Args:
        points: (P, D), P > 0.
        count: of clusters; at most P are made.
        rounds: how often the centres are updated.
        seed: of the draw.

    Returns:
        (K, D) centres, and (P,) index of the nearest centre of each point.
    """
    drawn = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:count]
    centres = points[drawn.to(points.device)].clone()
    for _ in range(rounds):
        nearest = _nearest(points, centres)
        members = torch.bincount(nearest, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(members[:, None] > 0, sums / members[:, None].clamp_min(1), centres)
    return centres, _nearest(points, centres)


def levels(values: Tensor, count: int = 256, rounds: int = 20) -> tuple[Tensor, Tensor]:
    """The same for scalars: (count,) ascending levels, and the index of the nearest level, in the shape of ``values``.

    Half of the initial levels are quantiles and half are equally spaced, so that outliers keep a level.
    """
    flat = values.flatten().double()
    ordered = flat.sort().values
    at = torch.linspace(0, len(flat) - 1, count // 2).round().long()
    steps = torch.linspace(float(ordered[0]), float(ordered[-1]), count - count // 2, dtype=torch.float64)
    centres = torch.cat([ordered[at], steps]).sort().values
    for _ in range(rounds):
        nearest = torch.bucketize(flat, (centres[1:] + centres[:-1]) / 2)
        members = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, nearest, flat)
        centres = torch.where(members > 0, sums / members.clamp_min(1), centres).sort().values
    nearest = torch.bucketize(flat, (centres[1:] + centres[:-1]) / 2)
    return centres.to(values.dtype), nearest.reshape(values.shape)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    rows = max(1, AT_ONCE // len(centres))
    half = centres.square().sum(1) / 2
    return torch.cat([(half - part @ centres.T).argmin(1) for part in points.split(rows)])
