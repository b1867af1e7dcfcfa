"""Rotations and covariances."""

from __future__ import annotations

import math

import torch

from bags.ops.geometry import covariance_root, quaternion_to_rotation


def test_known_rotation_any_norm():
    half = math.radians(90) / 2
    quaternion = 7 * torch.tensor([math.cos(half), 0, 0, math.sin(half)], dtype=torch.float64)  # 90 degrees about z
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(quaternion_to_rotation(quaternion), expected)


def test_rotations_are_orthogonal_and_compose_like_quaternions():
    p, q = torch.randn(2, 20, 4, dtype=torch.float64)
    rotation = quaternion_to_rotation(p)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(20, dtype=torch.float64))
    (pw, pv), (qw, qv) = ((t[:, :1], t[:, 1:]) for t in (p, q))
    vector = pw * qv + qw * pv + torch.linalg.cross(pv, qv)
    product = torch.cat([pw * qw - (pv * qv).sum(1, keepdim=True), vector], dim=1)
    torch.testing.assert_close(quaternion_to_rotation(product), rotation @ quaternion_to_rotation(q))


def test_covariance_has_the_scales_along_the_own_axes():
    scales, quaternion = torch.rand(4, 3, dtype=torch.float64) + 0.1, torch.randn(4, 4, dtype=torch.float64)
    root, rotation = covariance_root(scales, quaternion), quaternion_to_rotation(quaternion)
    own = rotation.mT @ root @ root.mT @ rotation
    torch.testing.assert_close(own, torch.diag_embed(scales**2))
