"""Gradients to a camera's pose, through a rasteriser that gives none to cameras.

What a camera sees depends on the Gaussians in the camera's own axes, ``R x + t`` and ``R C R^T``. So moving the camera
is moving all Gaussians the other way, and the gradient of the pose is a sum of the gradients of the Gaussians, which
every rasteriser gives. Only the direction in which spherical harmonics are looked up is taken to turn along with the
camera, which it does not; for the turns of an exposure (about a degree) that is nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bags.ops.geometry import cross_matrices
from bags.types import Camera, Splats


def seen_by(splats: Splats, camera: Camera) -> tuple[Splats, Camera]:
    """Splats and camera to draw, such that the gradient of what is drawn reaches the camera's pose, too."""
    means, rotations = _Seen.apply(splats.means, splats.rotations, camera.rotation, camera.translation)
    posed = replace(camera, rotation=camera.rotation.detach(), translation=camera.translation.detach())
    return replace(splats, means=means, rotations=rotations), posed


class _Seen(torch.autograd.Function):
    """The identity of means and quaternions; backward sums up what their gradients say of the pose."""

    @staticmethod
    def forward(
        ctx: Any, means: Tensor, rotations: Tensor, rotation: Tensor, translation: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(means, rotations, rotation)
        return means.view_as(means), rotations.view_as(rotations)

    @staticmethod
    def backward(ctx: Any, of_means: Tensor, of_rotations: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        means, rotations, rotation = ctx.saved_tensors
        of_rotation = rotation @ (of_means.T @ means)  # R x + t: dL/dR = R sum g x^T
        of_translation = rotation @ of_means.sum(0)
        turn = rotation @ _turn(rotations, of_rotations)  # in the camera's axes
        of_rotation = of_rotation + cross_matrices(turn) @ rotation / 2
        return of_means, of_rotations, of_rotation, of_translation


def _turn(quaternions: Tensor, gradients: Tensor) -> Tensor:
    """(3,) gradient of a small rotation vector by which all ``quaternions`` (N, 4) are turned, in world axes.

    ``dq = (0, v) q / 2``, so ``dL/dv_k = sum g . ((0, e_k) q) / 2``.
    """
    products = gradients.T @ quaternions  # [i, j] = sum g_i q_j; w x y z
    return 0.5 * torch.stack(
        [
            products[1, 0] - products[0, 1] + products[3, 2] - products[2, 3],
            products[2, 0] - products[0, 2] + products[1, 3] - products[3, 1],
            products[3, 0] - products[0, 3] + products[2, 1] - products[1, 2],
        ]
    )
