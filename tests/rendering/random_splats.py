"""Random scenes for the rasteriser tests, and the pixels where a rounding error may flip a decision."""

from __future__ import annotations

import math
from dataclasses import astuple, fields

import torch
from torch import Tensor

from bags.ops.geometry import quaternion_to_rotation
from bags.rendering import Projection
from bags.rendering.base import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from bags.types import Camera, RenderOutput, Splats


def random_camera(width: int, height: int, seed: int = 0) -> Camera:
    """A camera somewhere, turned, with a principal point off the centre."""
    draw = torch.Generator().manual_seed(seed)
    rotation = quaternion_to_rotation(torch.randn(4, generator=draw, dtype=torch.float64)).float()
    translation = torch.randn(3, generator=draw)
    return Camera(rotation, translation, 0.9 * width + 3, 0.8 * width + 5, width, height, offset=(0.37, -0.81))


def random_splats(
    count: int, camera: Camera, seed: int = 0, *, size: float = 1.0, opacity: float = 0.0, depth: float = 2.0
) -> Splats:
    """Thin and thick Gaussians in and around the view: one in ten behind, many beside, colours partly below 0.

    ``size`` scales them, ``opacity`` shifts their logits, ``depth`` is the nearest view-space z of those in front.
    """
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    z = depth + 4 * torch.rand(count, generator=draw)
    spread = 0.45 * normal(count, 2) * torch.tensor([camera.width / camera.fx, camera.height / camera.fy])
    view = torch.cat([spread * z[:, None], z[:, None]], dim=1)
    view[::10, 2] *= -1
    pixels = size * math.sqrt(camera.width * camera.height / count)
    scales = torch.exp(0.7 * normal(count, 3)) * 0.5 * pixels * z[:, None] / camera.fx
    return Splats(
        means=(view - camera.translation) @ camera.rotation,
        scales=scales,
        rotations=normal(count, 4) * 3,
        opacities=torch.sigmoid(1.5 * normal(count) + opacity).clamp(0.002, 0.9999),
        sh_dc=normal(count, 1, 3) * 0.8,
        sh_rest=normal(count, 15, 3) * 0.2,
    )


def leaves(splats: Splats, dtype: torch.dtype = torch.float32) -> Splats:
    """Copies that take gradients."""
    return Splats(*(getattr(splats, f.name).to(dtype, copy=True).requires_grad_() for f in fields(splats)))


def images(output: RenderOutput) -> tuple[Tensor, Tensor, Tensor]:
    """The three images of a render."""
    return output.rgb, output.depth, output.alpha


def decided(projection: Projection, camera: Camera) -> Tensor:
    """(H, W) where no alpha is within rounding of 1/255 or of the cap, and no transmittance within it of the stop.

    By brute force over all pairs, so ``projection`` (float64) must be small.
    """
    means2d, conics, _, opacities, distances, radii = (t.detach() for t in astuple(projection))
    order = [int(i) for i in distances.argsort() if radii[i] > 0]
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    good = torch.ones(camera.height, camera.width, dtype=torch.bool)
    left = torch.ones(camera.height, camera.width, dtype=torch.float64)
    for i in order:
        dx, dy = x - means2d[i, 0], y - means2d[i, 1]
        xx, xy, yy = conics[i]
        alpha = opacities[i] * torch.exp(-(xx * dx * dx + yy * dy * dy) / 2 - xy * dx * dy)
        for limit in (MIN_ALPHA, MAX_ALPHA):
            good &= ((alpha / limit - 1).abs() > 1e-4) | (left < MIN_TRANSMITTANCE)
        after = left * (1 - alpha.clamp(max=MAX_ALPHA) * (alpha >= MIN_ALPHA))
        good &= ((after / MIN_TRANSMITTANCE - 1).abs() > 1e-3) | (left < MIN_TRANSMITTANCE)
        left = after
    return good
