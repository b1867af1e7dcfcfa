"""Gradients of a camera's pose, through a rasteriser that has none for cameras.

What a camera sees depends on the Gaussians in the camera's axes, ``R x + t`` and ``R C R^T``. So moving the camera is
equivalent to moving all Gaussians the other way, and the gradient of the pose is a sum over the gradients of the
Gaussians, which every rasteriser has. One approximation: the viewing direction for spherical harmonics is treated as if
it turned with the camera. For the rotations during an exposure (about a degree) the error is negligible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bags.ops.geometry import cross_matrices
from bags.types import Camera, Splats


def seen_by(splats: Splats, camera: Camera) -> tuple[Splats, Camera]:
    """Splats and camera to draw so that the gradient of the render also reaches the camera's pose."""
    means, rotations = _Seen.apply(splats.means, splats.rotations, camera.rotation, camera.translation)
    posed = replace(camera, rotation=camera.rotation.detach(), translation=camera.translation.detach())
    return replace(splats, means=means, rotations=rotations), posed


class _Seen(torch.autograd.Function):
    """The identity on means and quaternions; backward also sums their gradients into that of the pose."""

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
    """(3,) gradient with respect to a small rotation vector, in world axes, that turns all ``quaternions`` (N, 4).

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
