"""Nearest neighbours, for the start scales."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor


def mean_square_distance(points: Tensor, neighbours: int = 3) -> Tensor:
    """Mean squared distance of each point to its ``neighbours`` nearest other points (docs/method.md section 1).

    Args:
        points: (P, 3).
        neighbours: how many; a smaller cloud uses all that there are.

    Returns:
        (P,) of the points' dtype, on the CPU; zero for a single point.
    """
    xyz = points.detach().cpu().numpy().astype(np.float64)
    count = min(neighbours, len(xyz) - 1)
    if count < 1:
        return torch.zeros(len(xyz), dtype=points.dtype)
    distance, _ = cKDTree(xyz).query(xyz, k=count + 1)
    return torch.from_numpy((distance[:, 1:] ** 2).mean(axis=1)).to(points.dtype)
