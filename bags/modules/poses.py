"""Refined poses of the training photos: features of blurred photos are not localised exactly, and so neither are poses.

Offsets of the given poses are learned together with the Gaussians. A similarity transform of the whole scene and all
cameras changes no training photo, but moves the scene away from the test views, whose poses are fixed. Other offsets
that vary smoothly with the camera's position change the photos very little, and do the same. Therefore the component
that is affine in the position is subtracted; it contains the similarity transforms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bags.ops.geometry import rotation_matrices
from bags.types import Camera

FLAT = 0.1  # spread of the cameras' centres in a direction, against the largest, up to which it does not count
NEGLIGIBLE = 1e-6  # singular values of the drifts, against the largest


class Poses(nn.Module):
    """The offsets of all training photos' poses.

    Args:
        cameras: of the training photos, at any resolution.
        extent: of the scene: the unit of translations.
        pixel: angle in radians that a pixel sees at the training resolution.

    Attributes:
        offsets: (num_views, 6) rotation vector in pixels and translation in pixels times extents, in the camera's own
            axes, as the optimiser updates them; ``free`` gives the effective ones.
    """

    drifts: Tensor

    def __init__(self, cameras: Sequence[Camera], extent: float, pixel: float) -> None:
        super().__init__()
        self.extent, self.pixel = extent, pixel
        self.offsets = nn.Parameter(torch.zeros(len(cameras), 6))
        self.register_buffer("drifts", drifts(cameras), persistent=False)

    def of(self, view: int, camera: Camera) -> Camera:
        """``camera`` of a training view with its refined pose, which carries gradients to the offset."""
        turn, shift = (self.free(view) * self.pixel).split(3)
        return camera.moved(rotation_matrices(turn), shift * self.extent)

    def free(self, view: int) -> Tensor:
        """(6,) offset of a view, without the drift that all offsets contain.

        The drift is a constant to the gradient: otherwise each photo would receive a share of all other gradients.
        """
        drift = self.drifts @ (self.drifts.T @ self.offsets.detach().flatten())
        return self.offsets[view] - drift.view_as(self.offsets)[view]


def drifts(cameras: Sequence[Camera]) -> Tensor:
    """(6 N, at most 24) orthonormal basis of the offsets of N poses that are affine in the camera's centre c.

    In the axes of the world, camera (R, t) is turned by ``w + W c`` and moved by ``b + B c``; in its own axes, by R
    times these. Similarity transforms of the scene are among them, to first order: ``x + a * x + b + s x`` (* is the
    cross product) turns all cameras by the same vector and moves each by its ``a * c + b + s c``. Of c, only the
    directions count in which the cameras stand far apart: in others, it is mostly the errors of the poses.

    The fewer the cameras, the larger the part of their offsets that is affine; one or two keep their poses.
    """
    rotation = torch.stack([camera.rotation for camera in cameras]).double().cpu()
    centres = torch.stack([camera.center for camera in cameras]).double().cpu()
    places, spreads, _ = torch.linalg.svd(centres - centres.mean(0), full_matrices=False)
    affine = torch.cat([torch.ones_like(centres[:, :1]), places[:, spreads > FLAT * spreads[0]]], dim=1)
    either = torch.eye(2).to(rotation)  # turned or moved
    columns = torch.einsum("nf,gh,nij->ngifhj", affine, either, rotation).flatten(3).flatten(0, 2)
    left, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > NEGLIGIBLE * sizes[0]].float()
