"""Rotations and covariances of Gaussians."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def quaternion_to_rotation(quaternions: Tensor) -> Tensor:
    """Rotation matrices of quaternions.

    Args:
        quaternions: (..., 4), order wxyz, any positive norm; normalised here.

    Returns:
        (..., 3, 3) rotation matrices; column k is the image of axis k.
    """
    w, x, y, z = F.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def covariance_root(scales: Tensor, quaternions: Tensor) -> Tensor:
    """Square root ``R S`` of 3D covariances ``R S S^T R^T`` (Kerbl et al. 2023, eq. 6).

    Args:
        scales: (..., 3) standard deviations along the own axes.
        quaternions: (..., 4), order wxyz, any positive norm.

    Returns:
        (..., 3, 3) matrices; a standard normal vector times it is a draw from the Gaussian around 0.
    """
    return quaternion_to_rotation(quaternions) * scales.unsqueeze(-2)
