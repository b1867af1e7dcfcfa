"""Builds of diff-gaussian-rasterization in plain torch, made from their published Python interface alone.

Row vectors multiply matrices from the left, focal lengths come from ``tanfov`` and the size, pixels from the
projection matrix, the gradient of ``means2D`` is per NDC unit. Blending is our reference's.
"""

from __future__ import annotations

from collections import namedtuple
from types import ModuleType

import torch
from torch import Tensor

from bags.ops.geometry import covariance_root
from bags.ops.sh import sh_to_rgb
from bags.rendering import reference
from bags.rendering.base import Projection

INRIA = (
    "image_height", "image_width", "tanfovx", "tanfovy", "bg", "scale_modifier", "viewmatrix", "projmatrix",
    "sh_degree", "campos", "prefiltered", "debug",
)  # fmt: skip
MIP = (*INRIA[:4], "kernel_size", "subpixel_offset", *INRIA[4:])
FIELDS = {"inria": INRIA, "inria_2024": (*INRIA, "antialiasing"), "mip_splatting": MIP, "bags": MIP}


def module(build: str, **changes: tuple[str, ...]) -> ModuleType:
    """A module like ``build``'s; ``changes`` may give other ``fields``."""
    made = ModuleType("diff_gaussian_rasterization")
    settings = namedtuple("GaussianRasterizationSettings", changes.get("fields", FIELDS[build]))
    made.GaussianRasterizationSettings = settings  # type: ignore[attr-defined]

    class GaussianRasterizer(torch.nn.Module):
        def __init__(self, raster_settings):
            super().__init__()
            assert isinstance(raster_settings, settings)
            self.settings = raster_settings

        def forward(
            self, means3D, means2D, opacities, shs=None, colors_precomp=None,
            scales=None, rotations=None, cov3D_precomp=None,
        ):  # fmt: skip
            assert (shs is None) != (colors_precomp is None) and cov3D_precomp is None
            colours = shs if colors_precomp is None else colors_precomp
            return draw(build, self.settings, means3D, means2D, opacities, colours, scales, rotations)

    made.GaussianRasterizer = GaussianRasterizer  # type: ignore[attr-defined]
    return made


def _expect(tensor: Tensor, *shape: int) -> Tensor:
    assert tuple(tensor.shape) == shape and tensor.dtype == torch.float32 and tensor.is_contiguous()
    return tensor.double()


def draw(build, s, means3D, means2D, opacities, colours, scales, rotations) -> tuple[Tensor, ...]:
    count, width, height = len(means3D), s.image_width, s.image_height
    assert isinstance(width, int) and isinstance(height, int) and s.prefiltered is False and s.scale_modifier == 1.0
    _expect(s.subpixel_offset, height, width, 2)
    assert not s.subpixel_offset.any()
    view, full = _expect(s.viewmatrix, 4, 4), _expect(s.projmatrix, 4, 4)
    campos, background = _expect(s.campos, 3), _expect(s.bg, 3).detach()  # the real ones give it no gradient
    means = _expect(means3D, count, 3)
    assert torch.allclose(campos @ view[:3, :3] + view[3, :3], torch.zeros(3, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(rotations.norm(dim=1), torch.ones(count), atol=1e-5)  # they are not normalised there

    x, y, z = (means @ view[:3, :3] + view[3, :3]).unbind(-1)
    seen = z > 0.2
    z = torch.where(seen, z, 1)
    clip = torch.cat([means, torch.ones_like(means[:, :1])], dim=1) @ full
    w = torch.where(seen, clip[:, 3], 1)
    assert torch.allclose(w, z, rtol=1e-5)
    ndc = clip[:, :2] / w[:, None] + _expect(means2D, count, 3)[:, :2]
    size = torch.tensor([width, height])
    pixels = ((ndc + 1) * size - 1) / 2

    fx, fy = width / (2 * s.tanfovx), height / (2 * s.tanfovy)
    u = (x / z).clamp(-1.3 * s.tanfovx, 1.3 * s.tanfovx)
    v = (y / z).clamp(-1.3 * s.tanfovy, 1.3 * s.tanfovy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], dim=-1).view(-1, 2, 3)
    root = jacobian @ view[:3, :3].T @ covariance_root(_expect(scales, count, 3), _expect(rotations, count, 4))
    sharp = root @ root.mT
    covariance = sharp + s.kernel_size * torch.eye(2)
    solid = (sharp.det() > 1e-6).detach()
    compensation = torch.where(solid, torch.where(solid, sharp.det() / covariance.det(), 1).sqrt(), 0)
    inverse = covariance.inverse()
    conics = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], dim=-1)
    radii = (3 * torch.linalg.eigvalsh(covariance.detach())[:, 1].sqrt()).ceil()
    tiles = -(-size // 16) * 16
    shown = ((pixels + radii[:, None] >= 0) & (pixels - radii[:, None] < tiles)).all(dim=1)
    radii = torch.where(seen & shown, radii, 0).to(torch.int32)

    distances = (means - campos).norm(dim=1)
    if colours.ndim == 3:
        _expect(colours, count, colours.shape[1], 3)
        directions = (means - campos) / distances[:, None]
        colours = sh_to_rgb(colours[:, :1].double(), colours[:, 1:].double(), directions, s.sh_degree)
    key = distances if build == "bags" else z
    flat = Projection(pixels, conics, colours.double(), _expect(opacities, count, 1)[:, 0] * compensation, key, radii)
    image, depth, alpha = reference.rasterize(flat, background, width, height)
    if build == "bags":
        return image.float(), radii, depth.float()[None], alpha.float()[None]
    return image.float(), radii
