"""Blur with softmax kernels that are given on a grid of nodes and interpolated bilinearly in between.

An extension of the published method, which proposes a kernel at every pixel (``bags.ops.per_pixel_conv``; its order of
kernel entries and its padding hold here, too). Kernels change slowly over a photo, and a node every ``spacing`` pixels
needs ``spacing^2`` times fewer logits. A node is in the middle of its cell of ``spacing`` x ``spacing`` pixels; beyond
the outermost nodes kernels are constant.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from bags.ops.enlarging import enlarged
from bags.ops.per_pixel_conv import inside, patches, side_of
from bags.ops.threads import map_alone
from bags.ops.windows import Window

LANES = 16  # the pixels of a phase are padded to a multiple of it: no remainder for a slower loop
BAND_CELLS = 8  # rows of cells that one thread processes at a time
STRIP_BYTES = 64 << 20  # of interpolated kernels in memory at a time in the plain PyTorch version


def interpolated_conv(
    image: Tensor, kernels: Tensor, mask: Tensor, spacing: int, corner: tuple[int, int] = (0, 0), stride: int = 1,
    sharp: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``B(x) = m(x) sum_k w_k(x) I(x + s k) + (1 - m(x)) S(x)`` with ``w`` interpolated between the nodes.

    Gradients (first order) reach all tensors. Float32 on the CPU uses Numba kernels. Everything else runs in strips of
    rows that are recomputed in the backward pass. Memory beyond ``kernels`` does not grow with K*K times the image.

    Args:
        image: (3, H + s (K - 1), W + s (K - 1)), padded.
        kernels: (K*K, h, w) of the nodes, K odd.
        mask: (H, W) in [0, 1].
        spacing: pixels from one node to the next, even.
        corner: column and row of the first of these pixels in the image that the nodes cover.
        stride: s, pixels from one tap to the next, at least 1.
        sharp: (3, H, W) what the unmasked part shows; None: ``image`` without its padding.

    Returns:
        (3, H, W).

    Raises:
        ValueError: shapes do not fit together.
    """
    _check(image, kernels, mask, spacing, corner, stride)
    if image.device.type == "cpu" and image.dtype == torch.float32:
        blurred = _blurred_by_cells(image, kernels, mask, spacing, corner, stride)
    else:
        blurred = _blurred_in_strips(image, kernels, mask, spacing, corner, stride)
    return torch.lerp(inside(image, mask.shape) if sharp is None else sharp, blurred, mask)


def interpolated_conv_reference(
    image: Tensor, kernels: Tensor, mask: Tensor, spacing: int, corner: tuple[int, int] = (0, 0), stride: int = 1,
    sharp: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The same in plain PyTorch, any device and dtype: holds all kernels and all patches at once."""
    _check(image, kernels, mask, spacing, corner, stride)
    blurred = _gather(image, kernels, Window(*corner, mask.shape[1], mask.shape[0]), spacing, stride)
    return mask * blurred + (1 - mask) * (inside(image, mask.shape) if sharp is None else sharp)


def node_kernels(features: Tensor, head: Tensor, bfloat16: bool = False) -> Tensor:
    """(K*K, h, w) softmax kernels ``softmax_k(head @ features)``, stored row by row of the nodes.

    Args:
        features: (C, h, w) of the nodes.
        head: (K*K, C).
        bfloat16: round the factors to bfloat16.
    """
    kind = torch.bfloat16 if bfloat16 else head.dtype
    logits = head.to(kind) @ features.movedim(1, 0).to(kind)
    return logits.to(head.dtype).softmax(dim=1).movedim(1, 0)


def kernels_between(kernels: Tensor, rows: Tensor, columns: Tensor, spacing: int) -> Tensor:
    """(K*K, P) interpolated kernels at the pixels ``(rows[i], columns[i])``.

    Args:
        kernels: (K*K, h, w) of the nodes.
        rows: (P,) pixel rows, counted in the image that the nodes cover.
        columns: (P,) pixel columns.
        spacing: pixels from one node to the next.
    """
    (above, below, down), (left, right, across) = (
        _neighbours(pixels, spacing, count) for pixels, count in zip((rows, columns), kernels.shape[1:], strict=True)
    )
    upper = torch.lerp(kernels[:, above, left], kernels[:, above, right], across.to(kernels))
    lower = torch.lerp(kernels[:, below, left], kernels[:, below, right], across.to(kernels))
    return torch.lerp(upper, lower, down.to(kernels))


def _neighbours(pixels: Tensor, spacing: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The nodes before and after each pixel along one axis, and how far it lies between them, in [0, 1)."""
    place = ((pixels + 0.5) / spacing - 0.5).clamp(0, count - 1)
    before = place.long()
    return before, (before + 1).clamp_max(count - 1), place - before


def _check(
    image: Tensor, kernels: Tensor, mask: Tensor, spacing: int, corner: tuple[int, int], stride: int
) -> None:  # fmt: skip
    side = side_of(kernels)
    if spacing < 2 or spacing % 2 or stride < 1:
        raise ValueError(f"spacing {spacing} must be even and at least 2, stride {stride} at least 1")
    height, width = mask.shape
    padded = (3, height + stride * (side - 1), width + stride * (side - 1))
    if tuple(image.shape) != padded:
        raise ValueError(f"image is {tuple(image.shape)}: must be {padded}, half a kernel larger on every side")
    covered = tuple(spacing * count for count in kernels.shape[1:])
    if min(corner) < 0 or corner[1] + height > covered[0] or corner[0] + width > covered[1]:
        raise ValueError(f"nodes cover {covered} pixels: too few for {(height, width)} pixels from {corner[::-1]} on")


def _gather(image: Tensor, kernels: Tensor, part: Window, spacing: int, stride: int) -> Tensor:
    """(3, part.height, part.width) weighted sum; holds all kernels of the part at once."""
    weights = enlarged(kernels, spacing, part)
    return torch.einsum("kyx,ckyx->cyx", weights, patches(image, side_of(kernels), stride))


def _blurred_in_strips(
    image: Tensor, kernels: Tensor, mask: Tensor, spacing: int, corner: tuple[int, int], stride: int
) -> Tensor:
    """(3, H, W) weighted sum, a strip of rows at a time; the backward pass recomputes each strip."""
    (height, width), around = mask.shape, stride * (side_of(kernels) - 1)
    rows = max(1, STRIP_BYTES // (kernels.element_size() * len(kernels) * width))
    strips = []
    for top in range(0, height, rows):
        part = Window(corner[0], corner[1] + top, width, min(rows, height - top))
        seen = image[:, top : top + part.height + around]
        task = partial(_gather, seen, kernels, part, spacing, stride)
        # Saving the state of the random generator would wait for the GPU.
        strips.append(checkpoint(task, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(strips, dim=1)


class _Axis(NamedTuple):
    """How the pixels of one axis lie between the nodes.

    The pixels between two nodes form an interval; a pixel's phase is its place in it, 0 to ``spacing - 1``. The first
    interval may begin before the first pixel.

    Attributes:
        before: pixels of the first interval that come before the first pixel.
        intervals: how many there are.
        first: node at which the first interval begins. -1 has the kernels of node 0, just as kernels beyond the last
            node are those of the last node.
    """

    before: int
    intervals: int
    first: int

    @classmethod
    def of(cls, start: int, length: int, spacing: int, lanes: int = 1) -> _Axis:
        """For ``length`` pixels from ``start`` on; the number of intervals is rounded up to a multiple of ``lanes``."""
        first, before = divmod(start - spacing // 2, spacing)
        return cls(before, -(-(length + before) // (spacing * lanes)) * lanes, first)


def _blurred_by_cells(
    image: Tensor, kernels: Tensor, mask: Tensor, spacing: int, corner: tuple[int, int], stride: int
) -> Tensor:
    """(3, H, W) weighted sum by our Numba kernels.

    They process all pixels of one phase together: the kernels on their left, those on their right, and the image
    values they see are then contiguous in memory.
    """
    (height, width), around = mask.shape, stride * (side_of(kernels) - 1)
    down, across = _Axis.of(corner[1], height, spacing), _Axis.of(corner[0], width, spacing, LANES)
    by_phase = _by_phase(image, across.before, across.intervals * spacing + around, spacing)
    blurred = _Blurred.apply(by_phase, kernels.movedim(1, 0), down, across, height, stride)
    return blurred.mT.flatten(2)[:, :, across.before : across.before + width]


def _by_phase(image: Tensor, before: int, width: int, spacing: int) -> Tensor:
    """(C, H, spacing, n) from (C, H, W): entry [phase, n] is column ``n * spacing + phase - before``, 0 outside."""
    width = -(-width // spacing) * spacing
    whole = pad(image, (before, width - before - image.shape[2]))
    return whole.unflatten(2, (-1, spacing)).mT.contiguous()


class _Blurred(torch.autograd.Function):
    """(3, H, spacing, intervals) weighted sum, from the image by phase and the (h, K*K, w) kernels of the nodes."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, nodes: Tensor, down: _Axis, across: _Axis, height: int, stride: int
    ) -> Tensor:  # fmt: skip
        from bags.ops.interpolated_conv_kernels import forward_rows

        nodes = nodes.contiguous()
        blurred = image.new_zeros(3, height, image.shape[2], across.intervals)
        arrays = nodes.detach().numpy(), image.detach().numpy(), blurred.numpy()

        def fill(band: range) -> None:
            forward_rows(*arrays, band.start, band.stop, down.before, down.first, across.first, stride)

        for _ in map_alone(fill, _bands(down, 1)):
            pass
        ctx.save_for_backward(image, nodes)
        ctx.place = down, across, stride
        return blurred

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from bags.ops.interpolated_conv_kernels import backward_rows

        image, nodes = ctx.saved_tensors
        down, across, stride = ctx.place
        image_grad, nodes_grad = torch.zeros_like(image), torch.zeros_like(nodes)
        arrays = [x.numpy() for x in (nodes, image, grad.contiguous(), nodes_grad, image_grad)]

        def pull(band: range) -> None:
            backward_rows(*arrays, band.start, band.stop, down.before, down.first, across.first, stride)

        # Neighbouring bands write to shared rows, so even and odd bands run in turn: sums have a fixed order.
        bands = _bands(down, -(-(image.shape[1] - grad.shape[1]) // grad.shape[2]))
        for some in (bands[::2], bands[1::2]):
            for _ in map_alone(pull, some):
                pass
        return image_grad, nodes_grad, None, None, None, None


def _bands(down: _Axis, least: int) -> list[range]:
    """Bands of rows of intervals, at least ``least`` and 2 high; they do not depend on the number of threads."""
    rows, count = max(BAND_CELLS, least, 2), down.intervals
    return [range(start, min(start + rows, count)) for start in range(0, count, rows)]
