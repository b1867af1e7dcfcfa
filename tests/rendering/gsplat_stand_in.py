"""gsplat 1.5's public functions in plain torch, for machines without a GPU: its conventions, checks and habits.

Written from gsplat's documentation: pixel centres on halves, alpha capped at 0.999, no harmonics without a direction, a
division by the number of Gaussians. Sums are in float64.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType

import torch
from torch import Tensor

from bags.ops.sh import sh_basis

__version__ = "1.5.3"


def put_in_place(monkeypatch) -> None:
    """Where the package would be, its kernels loaded."""
    from bags.rendering import gsplat_backend

    kernels = ModuleType("gsplat.cuda._backend")
    kernels._C = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", sys.modules[__name__])
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", kernels)
    monkeypatch.setattr(gsplat_backend, "why_not", inspect.unwrap(gsplat_backend.why_not))  # asked anew


def _expect(tensor: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> None:
    assert tuple(tensor.shape) == shape, (tuple(tensor.shape), shape)
    assert tensor.dtype == dtype, tensor.dtype


def spherical_harmonics(degrees_to_use, dirs, coeffs, masks=None):
    _expect(dirs, len(dirs), 3)
    _expect(coeffs, len(dirs), coeffs.shape[1], 3)
    assert (degrees_to_use + 1) ** 2 <= coeffs.shape[1]
    directions = dirs.double() * dirs.double().square().sum(dim=-1, keepdim=True).rsqrt()  # NaN where there is none
    used = coeffs[:, : (degrees_to_use + 1) ** 2].double()
    assert masks is None
    return torch.einsum("nk,nkc->nc", sh_basis(directions, degrees_to_use), used).float()


@torch.no_grad()
def isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height, sort=True, segmented=False, packed=False):
    count = means2d.shape[1]
    _expect(means2d, 1, count, 2)
    _expect(radii, 1, count, 2, dtype=torch.int32)
    _expect(depths, 1, count)
    assert sort and not packed
    corners = torch.stack([means2d[0] - radii[0], means2d[0] + radii[0]]) / tile_size
    low, high = (side.clamp(0, 1 << 20).int().tolist() for side in (corners[0].floor(), corners[1].ceil()))
    seen, bits = (radii[0] > 0).all(dim=1).tolist(), depths[0].view(torch.int32).tolist()
    pairs, per_gaussian = [], []
    for i in range(count):
        before = len(pairs)
        if seen[i]:
            for row in range(low[i][1], min(high[i][1], tile_height)):
                for column in range(low[i][0], min(high[i][0], tile_width)):
                    pairs.append(((row * tile_width + column) << 32 | bits[i], i))
        per_gaussian.append(len(pairs) - before)
    pairs.sort()
    keys = torch.tensor([key for key, _ in pairs], dtype=torch.int64)
    order = torch.tensor([i for _, i in pairs], dtype=torch.int32)
    return torch.tensor([per_gaussian], dtype=torch.int32), keys, order


def isect_offset_encode(isect_ids, n_images, tile_width, tile_height):
    assert n_images == 1 and isect_ids.dtype == torch.int64
    tiles = torch.arange(tile_width * tile_height)
    return torch.searchsorted(isect_ids >> 32, tiles).to(torch.int32).view(1, tile_height, tile_width)


class _Gather(torch.autograd.Function):
    """A Gaussian's centre for every pixel; the backward pass leaves the absolute sum as gsplat does."""

    @staticmethod
    def forward(ctx, means2d, members, pixels, absgrad):
        ctx.save_for_backward(means2d)
        ctx.members, ctx.absgrad = members, absgrad
        return means2d[0, members].double().expand(pixels, -1, -1).clone()

    @staticmethod
    def backward(ctx, gradient):
        (means2d,) = ctx.saved_tensors
        if ctx.absgrad:
            total = getattr(means2d, "absgrad", torch.zeros_like(means2d))
            means2d.absgrad = total.index_add(1, ctx.members, gradient.abs().sum(0)[None].float())
        total = torch.zeros_like(means2d).index_add(1, ctx.members, gradient.sum(0)[None].float())
        return total, None, None, None


def rasterize_to_pixels(
    means2d, conics, colors, opacities, image_width, image_height, tile_size, isect_offsets, flatten_ids,
    backgrounds=None, masks=None, packed=False, absgrad=False,
):  # fmt: skip
    count, channels = means2d.shape[1], colors.shape[2]
    assert count, "gsplat divides by the number of Gaussians, which ends the process"
    _expect(means2d, 1, count, 2)
    _expect(conics, 1, count, 3)
    _expect(colors, 1, count, channels)
    _expect(opacities, 1, count)
    _expect(backgrounds, 1, channels)
    rows, columns = -(-image_height // tile_size), -(-image_width // tile_size)
    _expect(isect_offsets, 1, rows, columns, dtype=torch.int32)
    assert masks is None and not packed and flatten_ids.dtype == torch.int32
    ends = [*isect_offsets.flatten().tolist(), len(flatten_ids)]
    bands = []
    for row in range(rows):
        band = []
        for column in range(columns):
            tile = row * columns + column
            members = flatten_ids[ends[tile] : ends[tile + 1]].long()
            step = torch.arange(tile_size) + 0.5
            py, px = torch.meshgrid(row * tile_size + step, column * tile_size + step, indexing="ij")
            centres = _Gather.apply(means2d, members, tile_size * tile_size, absgrad)
            dx, dy = centres[..., 0] - px.reshape(-1, 1), centres[..., 1] - py.reshape(-1, 1)
            xx, xy, yy = conics[0, members].double().unbind(-1)
            falloff = torch.exp(-(xx * dx * dx + yy * dy * dy) / 2 - xy * dx * dy)
            alpha = (opacities[0, members].double() * falloff).clamp(max=0.999)
            alpha = torch.where(alpha >= 1 / 255, alpha, 0)
            alpha = torch.where(((1 - alpha).cumprod(1) > 1e-4).detach(), alpha, 0)
            after = (1 - alpha).cumprod(1)
            left = after[:, -1:] if len(members) else torch.ones(tile_size**2, 1, dtype=torch.float64)
            before = torch.cat([torch.ones_like(left), after[:, :-1]], dim=1)[:, : len(members)]
            image = (alpha * before) @ colors[0, members].double() + left * backgrounds[0].double()
            band.append(torch.cat([image, 1 - left], dim=1).view(tile_size, tile_size, -1))
        bands.append(torch.cat(band, dim=1))
    whole = torch.cat(bands)[None, :image_height, :image_width].float()
    return whole[..., :-1], whole[..., -1:]
