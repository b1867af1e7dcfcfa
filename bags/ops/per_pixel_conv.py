"""Blur with one softmax kernel per pixel (docs/method.md section 3), without all kernels in memory at once.

Kernel entries are in row-major order: entry ``k = (dy + p) * K + (dx + p)``, with ``p = (K - 1) / 2`` and ``dy, dx``
from ``-p`` to ``p``, weights ``I(y + s dy, x + s dx)`` with stride ``s``; ``k = 0`` is the top left neighbour. (A
correlation: the kernel is not flipped.) The caller pads ``I`` by ``s p`` on every side, so it chooses what is beyond
the border.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import fold

from bags.ops.threads import Result, map_alone

BAND_ROWS = 32  # of the image, processed by one thread
STRIP_BYTES = 4 << 20  # of logits that a thread holds at a time; 2 MB (an L2 cache) and 1 MB were slower


def per_pixel_conv(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, bfloat16: bool = False, stride: int = 1,
    sharp: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``B(x) = m(x) sum_k softmax_k(head @ features(x)) I(x + s k) + (1 - m(x)) S(x)`` (docs/method.md section 3).

    Logits are computed for one part of the image at a time and recomputed in the backward pass, so memory does not grow
    with K*K times the image. Gradients (first order) reach all tensors. CUDA uses one Triton kernel for the forward
    pass and three for the backward pass (``per_pixel_conv_triton``; float32 images, C up to 128, K up to 63).
    Everything else runs in strips of rows, with Numba kernels for float32 on the CPU.

    Args:
        image: (3, H + s (K - 1), W + s (K - 1)), padded.
        features: (C, H, W).
        head: (K*K, C), K odd.
        mask: (H, W) in [0, 1].
        bfloat16: run the matrix products in bfloat16: their factors are rounded to it, and in strips the logits too.
        stride: s, pixels from one tap to the next, at least 1.
        sharp: (3, H, W) what the unmasked part shows; None: ``image`` without its padding.

    Returns:
        (3, H, W).

    Raises:
        ValueError: shapes do not fit together.
    """
    _check(image, features, head, mask, stride, sharp)
    sharp = inside(image, mask.shape) if sharp is None else sharp
    return _function(image, features, head).apply(image, features, head, mask, sharp, bfloat16, stride)


def per_pixel_conv_reference(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, stride: int = 1, sharp: Tensor | None = None
) -> Tensor:
    """The same in plain PyTorch, any device and dtype: holds all kernels and all patches at once."""
    _check(image, features, head, mask, stride, sharp)
    weights = torch.einsum("kc,cyx->kyx", head, features).softmax(dim=0)
    blurred = torch.einsum("kyx,ckyx->cyx", weights, patches(image, side_of(head), stride))
    return mask * blurred + (1 - mask) * (inside(image, mask.shape) if sharp is None else sharp)


def kernels_at(features: Tensor, head: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """(P, K, K) softmax kernels at the pixels ``(rows[i], cols[i])``; entry [0, 0] weighs the top left neighbour."""
    side = side_of(head)
    return (features[:, rows, cols].T.to(head.dtype) @ head.T).softmax(dim=1).reshape(-1, side, side)


def strip_rows(side: int, width: int) -> int:
    """How many image rows are processed at a time."""
    return max(1, STRIP_BYTES // (4 * side * side * width))


def _function(image: Tensor, features: Tensor, head: Tensor) -> type[torch.autograd.Function]:
    """The implementation for these tensors."""
    triton = _triton() if image.is_cuda else None
    return _PerPixelConv if triton is None or not triton.takes(image, features, head) else triton.TritonConv


@cache
def _triton() -> ModuleType | None:
    try:
        from bags.ops import per_pixel_conv_triton
    except ImportError as error:
        slow = f"the per-pixel convolution runs on CUDA without Triton ({error}), which is slow"
        warnings.warn(slow, RuntimeWarning, stacklevel=4)
        return None
    return per_pixel_conv_triton


def side_of(kernels: Tensor) -> int:
    """Kernel side K of a tensor whose first axis runs over the K*K entries."""
    return math.isqrt(kernels.shape[0])


def _check(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, stride: int, sharp: Tensor | None
) -> None:  # fmt: skip
    side = side_of(head)
    if side % 2 == 0 or side * side != head.shape[0]:
        raise ValueError(f"head has {head.shape[0]} rows: must be the square of an odd kernel side")
    if stride < 1:
        raise ValueError(f"stride is {stride}: must be at least 1")
    height, width = mask.shape
    padded = (3, height + stride * (side - 1), width + stride * (side - 1))
    if tuple(image.shape) != padded:
        raise ValueError(
            f"image is {tuple(image.shape)}: for a mask of {tuple(mask.shape)}, kernels of side {side} and stride "
            f"{stride} it must be {padded}, half a kernel larger on every side"
        )
    if tuple(features.shape) != (head.shape[1], height, width):
        raise ValueError(f"features are {tuple(features.shape)}: must be {(head.shape[1], height, width)}")
    if sharp is not None and tuple(sharp.shape) != (3, height, width):
        raise ValueError(f"sharp is {tuple(sharp.shape)}: must be {(3, height, width)}")


def inside(image: Tensor, size: Sequence[int]) -> Tensor:
    """The middle (3, H, W) of a padded image, a view; ``size`` is (H, W)."""
    top, left = (image.shape[1] - size[0]) // 2, (image.shape[2] - size[1]) // 2
    return image[:, top : top + size[0], left : left + size[1]]


def patches(image: Tensor, side: int, stride: int) -> Tensor:
    """(3, K*K, H, W) what every pixel's taps see."""
    reach = stride * (side - 1) + 1
    windows = image.unfold(1, reach, 1).unfold(2, reach, 1)[..., ::stride, ::stride]
    return windows.permute(0, 3, 4, 1, 2).reshape(3, side * side, *windows.shape[1:3])


class _PerPixelConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, features: Tensor, head: Tensor, mask: Tensor, sharp: Tensor, bfloat16: bool,
        stride: int,
    ) -> Tensor:  # fmt: skip
        image, features = image.contiguous(), features.contiguous()
        weights = head.to(torch.bfloat16 if bfloat16 else features.dtype)
        log_sum, blurred = torch.empty_like(mask), image.new_empty(3, *mask.shape)

        def fill(band: range) -> None:
            scratch = _scratch(head, image, mask)
            for first, rows in _strips(band, head, mask):
                logits = _logits(weights, _rows(features, first, rows).to(weights.dtype), scratch)
                _forward_strip(logits, image, stride, first, log_sum, blurred)

        for _ in _over_bands(fill, mask):
            pass
        ctx.save_for_backward(image, features, weights, mask, sharp, log_sum, blurred)
        ctx.head_type, ctx.stride = head.dtype, stride
        return torch.lerp(sharp, blurred, mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, features, weights, mask, sharp, log_sum, blurred = ctx.saved_tensors
        stride, reach = ctx.stride, image.shape[1] - mask.shape[0]
        mask_grad = (grad * (blurred - sharp)).sum(dim=0)
        blurred_grad = grad * mask
        mean = (blurred_grad * blurred).sum(dim=0)
        features_grad = torch.empty_like(features)

        def pull(band: range) -> tuple[range, Tensor, Tensor]:
            image_part = image.new_zeros(3, len(band) + reach, image.shape[2])
            weights_part = torch.zeros_like(weights, dtype=image.dtype)
            scratch = _scratch(weights, image, mask)
            for first, rows in _strips(band, weights, mask):
                seen = _rows(features, first, rows).to(weights.dtype)
                logits = _logits(weights, seen, scratch)
                part = image_part[:, first - band.start :]
                _backward_strip(logits, image, stride, first, log_sum, blurred_grad, mean, part)
                logits_grad = logits.flatten(1).to(weights.dtype)
                _rows(features_grad, first, rows).copy_((weights.T @ logits_grad).view_as(seen))
                weights_part += logits_grad @ seen.flatten(1).T
            return band, image_part, weights_part

        image_grad, weights_grad = torch.zeros_like(image), torch.zeros_like(weights, dtype=image.dtype)
        for band, image_part, weights_part in _over_bands(pull, mask):
            image_grad[:, band.start : band.stop + reach] += image_part
            weights_grad += weights_part
        return image_grad, features_grad, weights_grad.to(ctx.head_type), mask_grad, grad * (1 - mask), None, None


def _over_bands(task: Callable[[range], Result], mask: Tensor) -> Iterator[Result]:
    """``task`` of every band of rows, in order; on the CPU in parallel, so that threads seldom wait for each other.

    The bands, and so the sums over them, do not depend on the number of threads.
    """
    height = mask.shape[0]
    bands = [range(start, min(start + BAND_ROWS, height)) for start in range(0, height, BAND_ROWS)]
    return map_alone(task, bands) if mask.device.type == "cpu" else map(task, bands)


def _strips(band: range, head: Tensor, mask: Tensor) -> Iterator[tuple[int, int]]:
    """First row and number of rows of every strip of a band."""
    rows = strip_rows(side_of(head), mask.shape[1])
    return ((first, min(rows, band.stop - first)) for first in range(band.start, band.stop, rows))


def _rows(values: Tensor, first: int, rows: int) -> Tensor:
    """(C, rows, W) of (C, H, W), a view."""
    return values[:, first : first + rows]


def _scratch(head: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Memory for the logits of a strip, allocated once per band: a fresh allocation costs as much as filling it."""
    return image.new_empty(head.shape[0] * strip_rows(side_of(head), mask.shape[1]) * mask.shape[1])


def _logits(weights: Tensor, features: Tensor, scratch: Tensor) -> Tensor:
    """(K*K, R, W) logits of R rows, in ``scratch``."""
    shape = (weights.shape[0], *features.shape[1:])
    logits = scratch[: math.prod(shape)].view(shape)
    if weights.dtype == scratch.dtype:
        torch.mm(weights, features.flatten(1), out=logits.flatten(1))
    else:
        logits.flatten(1).copy_(weights @ features.flatten(1))
    return logits


def _has_kernels(image: Tensor) -> bool:
    return image.device.type == "cpu" and image.dtype == torch.float32


def _forward_strip(
    logits: Tensor, image: Tensor, stride: int, first: int, log_sum: Tensor, blurred: Tensor
) -> None:  # fmt: skip
    """Fill the strip's rows of ``log_sum`` (H, W) and ``blurred`` (3, H, W), the weighted sum."""
    rows, side = logits.shape[1], side_of(logits)
    if _has_kernels(image):
        from bags.ops.per_pixel_conv_kernels import forward_rows

        forward_rows(logits.numpy(), image.numpy(), stride, first, log_sum.numpy(), blurred.numpy())
        return
    strip = slice(first, first + rows)
    seen_by_taps = patches(_rows(image, first, rows + stride * (side - 1)), side, stride)
    log_sum[strip] = logits.logsumexp(dim=0)
    blurred[:, strip] = torch.einsum("kyx,ckyx->cyx", (logits - log_sum[strip]).exp(), seen_by_taps)


def _backward_strip(
    logits: Tensor, image: Tensor, stride: int, first: int, log_sum: Tensor, grad: Tensor, mean: Tensor,
    image_grad: Tensor,
) -> None:  # fmt: skip
    """Replace ``logits`` by their gradient and add to ``image_grad``, whose first row is the strip's first row.

    With weights w and ``d_k = sum_c grad_c I_c(x + s k)``, the gradient of a logit is ``w_k (d_k - sum_j w_j d_j)``.
    The sum is ``mean`` (H, W), known from the forward pass. ``grad`` (3, H, W) is the gradient of the weighted sum.
    """
    rows, side = logits.shape[1], side_of(logits)
    if _has_kernels(image):
        from bags.ops.per_pixel_conv_kernels import backward_rows

        known = log_sum.numpy(), grad.numpy(), mean.numpy()
        backward_rows(logits.numpy(), image.numpy(), stride, first, *known, image_grad.numpy())
        return
    strip, seen = slice(first, first + rows), rows + stride * (side - 1)
    weights = (logits - log_sum[strip]).exp_()
    seen_by_taps = patches(_rows(image, first, seen), side, stride)
    torch.mul(weights, torch.einsum("cyx,ckyx->kyx", grad[:, strip], seen_by_taps) - mean[strip], out=logits)
    spread = (grad[:, None, strip] * weights).flatten(2)
    image_grad[:, :seen] += fold(spread, (seen, image.shape[2]), (side, side), dilation=stride)[:, 0]
