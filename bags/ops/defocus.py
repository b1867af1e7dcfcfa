"""Blur of a lens: the light of every point spreads over a disc, and near points cover those behind them.

A pixel gathers the light of its neighbours. A neighbour that is nearer than the pixel spreads over its own disc,
whatever lies behind it. All others count by the pixel's own disc. So the outline of a blurred thing runs into a sharp
background behind it, and the outline of a sharp thing stays sharp in front of a blurred background. What a near thing
hides is not in the sharp image; the light around it takes its place.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from bags.ops.threads import run_pieces, thread_count

LARGEST = 12.0  # radius of a disc, pixels
NEARER = 0.97  # a neighbour within this fraction of a pixel's distance lies in front of it
SOFT = 0.5  # pixels on either side of a disc's edge over which its weight falls from 1 to 0
STEPS = 600  # of the radii whose variances are tabulated


def defocus(image: Tensor, variance: Tensor, distance: Tensor) -> Tensor:
    """The image as a lens sees it.

    Gradients (first order) reach ``image`` and ``variance``. On the CPU in float32 with Numba, elsewhere with PyTorch.

    Args:
        image: (3, H, W); its border is replicated.
        variance: (H, W) of the disc along one axis, in pixels squared: that of a disc of radius r is ``r^2 / 4``;
            limited to that of the radius ``LARGEST``.
        distance: (H, W) of what the pixels show, in any unit; gets no gradient.

    Returns:
        (3, H, W).
    """
    maps = disc_maps(variance, distance)
    reach = reach_of(maps)
    if reach < 1:
        return image
    image, maps = with_border(image, reach), with_border(maps, reach)
    if image.device.type == "cpu" and image.dtype == torch.float32:
        return _Defocus.apply(image, maps, reach)
    return defocus_reference(image, maps, reach)


def defocus_reference(image: Tensor, maps: Tensor, reach: int) -> Tensor:
    """The same in plain PyTorch, for any device and dtype.

    Args:
        image: (3, H + 2 reach, W + 2 reach) with its border.
        maps: of the same size: radius, share and distance (``disc_maps``).
        reach: whole pixels from which light arrives (``reach_of``).
    """
    light, total = torch.zeros_like(_inside(image, reach)), torch.zeros_like(_inside(maps[0], reach))
    for y in range(-reach, reach + 1):
        # Computed again in the backward pass: memory is that of one row of neighbours instead of all.
        of_row, weights = checkpoint(_from_row, image, maps, reach, y, use_reentrant=False)
        light, total = light + of_row, total + weights
    return light / total


def _from_row(image: Tensor, maps: Tensor, reach: int, y: int) -> tuple[Tensor, Tensor]:
    """Light (3, H, W) of the neighbours ``y`` rows below, and the sum (H, W) of their weights."""
    height, width = image.shape[1] - 2 * reach, image.shape[2] - 2 * reach
    colours, (radius, share, distance) = (
        part[:, reach + y : reach + y + height].unfold(2, width, 1).movedim(2, 1) for part in (image, maps)
    )
    own_radius, own_share, own_distance = _inside(maps, reach)
    near = distance < NEARER * own_distance
    away = torch.arange(-reach, reach + 1, device=image.device).to(image).square().add(y * y).sqrt()[:, None, None]
    weights = torch.where(near, share, own_share) * _height(torch.where(near, radius, own_radius), away)
    return (weights * colours).sum(1), weights.sum(0)


def _inside(image: Tensor, reach: int) -> Tensor:
    """Without the border."""
    return image[..., reach : image.shape[-2] - reach, reach : image.shape[-1] - reach]


def _height(radius: Tensor, away: Tensor) -> Tensor:
    """Height of a disc at ``away`` pixels from its middle: 1, and 0 outside."""
    return (radius + SOFT - away).clamp(0, 1)


def disc_maps(variance: Tensor, distance: Tensor) -> Tensor:
    """(3, H, W) radius, share (``discs``) and distance, from ``variance`` and ``distance`` (H, W)."""
    return torch.stack([*discs(variance), distance.detach()])


def reach_of(maps: Tensor) -> int:
    """Whole pixels from which light arrives, of ``disc_maps``; NaN counts as no disc."""
    return math.ceil(float(maps[0].detach().nan_to_num().max()) + SOFT) - 1


def with_border(image: Tensor, reach: int) -> Tensor:
    """(C, H + 2 reach, W + 2 reach): the image (C, H, W) with its outermost pixels repeated."""
    return pad(image[None], (reach,) * 4, mode="replicate")[0]


def discs(variance: Tensor) -> tuple[Tensor, Tensor]:
    """Radii of discs and the share of their light that each whole pixel gets, at the variance that these pixels have.

    A disc up to the radius ``SOFT`` lies in a single pixel and has no variance.

    Args:
        variance: (...,) in pixels squared, along one axis.

    Returns:
        (...,) radii in pixels, and (...,) shares; both differentiable.
    """
    variances, *columns = _table(variance.dtype, variance.device)
    above = torch.searchsorted(variances, variance.detach().contiguous()).clamp(1, STEPS - 1)
    part = ((variance - variances[above - 1]) / (variances[above] - variances[above - 1])).clamp(0, 1)
    radius, share = (torch.lerp(column[above - 1], column[above], part) for column in columns)
    return radius, share


@cache
def _table(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(STEPS,) variances, radii and shares of discs; computed in float64."""
    radii = torch.linspace(SOFT, LARGEST, STEPS, dtype=torch.float64)
    side = torch.arange(-math.ceil(LARGEST), math.ceil(LARGEST) + 1)
    away = torch.hypot(*torch.meshgrid(side.double(), side.double(), indexing="ij")).flatten()
    heights = _height(radii[:, None], away)
    areas = heights.sum(1)
    variances, shares = heights @ away.square() / areas / 2, 1 / areas
    return variances.to(device, dtype), radii.to(device, dtype), shares.to(device, dtype)


def disc_kernels(variance: Tensor, reach: int) -> Tensor:
    """(P, K, K) discs of ``variance`` (P,) in the middle of K = 2 reach + 1 pixels; each sums to 1."""
    radius, _ = discs(variance)
    side = torch.arange(-reach, reach + 1, device=variance.device).to(variance)
    heights = _height(radius[:, None, None], torch.hypot(side[:, None], side))
    return heights / heights.sum(dim=(1, 2), keepdim=True)


class _Defocus(torch.autograd.Function):
    """The Numba kernels; each thread computes bands of rows."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, maps: Tensor, reach: int) -> Tensor:
        from bags.ops.defocus_kernels import forward_piece

        height, width = image.shape[1] - 2 * reach, image.shape[2] - 2 * reach
        light, total = image.new_zeros(3, height, width), image.new_zeros(height, width)
        edges = maps[0].nan_to_num().amax(1).unfold(0, 2 * reach + 1, 1).amax(1) + SOFT
        tensors = (edges, image.contiguous(), maps.contiguous(), light, total)
        arrays = (tensor.detach().numpy() for tensor in tensors)
        run_pieces(forward_piece, min(height, 4 * thread_count()), reach, *arrays)
        ctx.save_for_backward(*tensors)
        ctx.reach = reach
        return light

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from bags.ops.defocus_kernels import backward_piece

        edges, image, maps, light, total = ctx.saved_tensors
        bands = min(len(total), thread_count())  # each has maps of its own to add to
        of_image, of_discs = image.new_zeros(bands, *image.shape), maps.new_zeros(bands, 2, *maps.shape[1:])
        back = gradient / total
        tensors = (edges, image, maps, back, (back * light).sum(0), of_image, of_discs)
        run_pieces(backward_piece, bands, ctx.reach, *(tensor.detach().numpy() for tensor in tensors))
        return of_image.sum(0), pad(of_discs.sum(0), (0, 0, 0, 0, 0, 1)), None
