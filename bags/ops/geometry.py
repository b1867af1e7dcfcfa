"""Rotations, and covariances of Gaussians."""

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
    unit = F.normalize(quaternions, dim=-1)
    w, v = unit[..., :1, None], unit[..., None, 1:]
    axes = torch.eye(3, dtype=unit.dtype, device=unit.device).expand(*unit.shape[:-1], 3, 3)
    # Rodrigues: an axis e becomes e + 2 w (v x e) + 2 v x (v x e). Few operations, since each is a kernel launch.
    once = torch.linalg.cross(v.expand_as(axes), axes)
    twice = torch.linalg.cross(v.expand_as(axes), once)
    return torch.add(torch.addcmul(axes, w, once, value=2), twice, alpha=2).mT


def covariance_root(scales: Tensor, quaternions: Tensor) -> Tensor:
    """Square root ``R S`` of 3D covariances ``R S S^T R^T`` (Kerbl et al. 2023, eq. 6).

    Args:
        scales: (..., 3) standard deviations along the Gaussian's axes.
        quaternions: (..., 4), order wxyz, any positive norm.

    Returns:
        (..., 3, 3) matrices M; ``M z`` with a standard normal vector z is a sample of the Gaussian around 0.
    """
    return quaternion_to_rotation(quaternions) * scales.unsqueeze(-2)


def cross_matrices(vectors: Tensor) -> Tensor:
    """(..., 3, 3) matrices whose product with any x is the cross product of ``vectors`` (..., 3) with x."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def rotation_matrices(vectors: Tensor) -> Tensor:
    """(..., 3, 3) rotations of rotation vectors (..., 3) in radians: exponentials of their cross-product matrices."""
    return torch.linalg.matrix_exp(cross_matrices(vectors))
