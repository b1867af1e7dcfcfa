"""Refined poses of the training photos: features of blurred photos are not localised exactly, and so neither are poses.

Offsets of the given poses are learned together with the Gaussians. A similarity transform of the whole scene and all
cameras changes no training photo, but moves the scene away from the test views, whose poses are fixed. Therefore the
component of the offsets that is such a transform, to first order, is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bags.ops.geometry import cross_matrices, rotation_matrices
from bags.types import Camera

NEGLIGIBLE = 1e-6  # singular values of the similarities, against the largest


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

    similarities: Tensor

    def __init__(self, cameras: Sequence[Camera], extent: float, pixel: float) -> None:
        super().__init__()
        self.extent, self.pixel = extent, pixel
        self.offsets = nn.Parameter(torch.zeros(len(cameras), 6))
        self.register_buffer("similarities", similarities(cameras, extent), persistent=False)

    def of(self, view: int, camera: Camera) -> Camera:
        """``camera`` of a training view with its refined pose, which carries gradients to the offset."""
        turn, shift = (self.free(view) * self.pixel).split(3)
        return camera.moved(rotation_matrices(turn), shift * self.extent)

    def free(self, view: int) -> Tensor:
        """(6,) offset of a view, without the similarity transform that all offsets contain.

        The transform is a constant to the gradient: otherwise each photo would receive a share of all other gradients.
        """
        drift = self.similarities @ (self.similarities.T @ self.offsets.detach().flatten())
        return self.offsets[view] - drift.view_as(self.offsets)[view]


def similarities(cameras: Sequence[Camera], extent: float) -> Tensor:
    """(6 N, at most 7) orthonormal basis of the offsets of N poses that result from small similarity transforms.

    The world is transformed to ``x + a * x + b + s x`` (* is the cross product). A camera (R, t) still sees the same
    image if it becomes ``R' = R - R [a]`` and ``t' = t - R b + s t``. In its own axes it is then turned by ``-R a`` and
    shifted by ``R a * t - R b + s t``.
    """
    rotation = torch.stack([camera.rotation for camera in cameras]).double().cpu()
    translation = torch.stack([camera.translation for camera in cameras]).double().cpu()
    zero = torch.zeros_like(rotation)
    turned = torch.cat([-rotation, -cross_matrices(translation) @ rotation / extent], dim=1)  # (N, 6, 3), of each a
    moved = torch.cat([zero, -rotation / extent], dim=1)
    scaled = torch.cat([torch.zeros_like(translation), translation / extent], dim=1)[..., None]
    columns = torch.cat([turned, moved, scaled], dim=2).flatten(0, 1)
    left, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > NEGLIGIBLE * sizes[0]].float()
