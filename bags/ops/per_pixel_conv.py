"""Blur with one softmax kernel per pixel (docs/method.md section 3), never holding all kernels at once.

Kernel entries are in row-major order: entry ``k = (dy + p) * K + (dx + p)``, with ``p = (K - 1) / 2`` and ``dy, dx``
from ``-p`` to ``p``, weighs ``I(y + s dy, x + s dx)`` with stride ``s``; ``k = 0`` is the top left neighbour. (A
correlation: the kernel is not flipped.) ``I`` comes padded by ``s p`` on every side, so what lies beyond the border is
the caller's choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bags.ops.threads import piece_count, run_pieces

STRIP_BYTES = 4 << 20  # of logits held at a time: what the cores' second-level caches hold together


def per_pixel_conv(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, bfloat16: bool = False, stride: int = 1,
    sharp: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``B(x) = m(x) sum_k softmax_k(head @ features(x)) I(x + s k) + (1 - m(x)) S(x)`` (docs/method.md section 3).

    Works through the image in strips of rows and computes the logits of a strip again in the backward pass, so memory
    does not grow with K*K times the image. Gradients (first order) reach all tensors.

    Args:
        image: (3, H + s (K - 1), W + s (K - 1)), padded.
        features: (C, H, W).
        head: (K*K, C), K odd.
        mask: (H, W) in [0, 1].
        bfloat16: run the matrix products in bfloat16 (logits and their gradients are rounded to it).
        stride: s, pixels from one tap to the next, at least 1.
        sharp: (3, H, W) what the unmasked part shows; None: ``image`` without its padding.

    Returns:
        (3, H, W).

    Raises:
        ValueError: shapes do not fit together.
    """
    _check(image, features, head, mask, stride, sharp)
    sharp = inside(image, mask.shape) if sharp is None else sharp
    return _PerPixelConv.apply(image, features, head, mask, sharp, bfloat16, stride)


def per_pixel_conv_reference(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, stride: int = 1, sharp: Tensor | None = None
) -> Tensor:
    """The same in plain PyTorch, any device and dtype: holds all kernels and all patches at once."""
    _check(image, features, head, mask, stride, sharp)
    weights = torch.einsum("kc,cyx->kyx", head, features).softmax(dim=0)
    blurred = torch.einsum("kyx,ckyx->cyx", weights, _patches(image, _side(head), stride))
    return mask * blurred + (1 - mask) * (inside(image, mask.shape) if sharp is None else sharp)


def kernels_at(features: Tensor, head: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """(P, K, K) softmax kernels at the pixels ``(rows[i], cols[i])``; entry [0, 0] weighs the top left neighbour."""
    side = _side(head)
    return (features[:, rows, cols].T @ head.T).softmax(dim=1).reshape(-1, side, side)


def strip_rows(side: int, width: int) -> int:
    """How many image rows are worked on at a time."""
    return max(1, STRIP_BYTES // (4 * side * side * width))


def _side(head: Tensor) -> int:
    return math.isqrt(head.shape[0])


def _check(
    image: Tensor, features: Tensor, head: Tensor, mask: Tensor, stride: int, sharp: Tensor | None
) -> None:  # fmt: skip
    side = _side(head)
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


def _patches(image: Tensor, side: int, stride: int) -> Tensor:
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
        factors = torch.bfloat16 if bfloat16 else features.dtype
        factor, weights = features.to(factors), head.to(factors)
        log_sum, blurred = torch.empty_like(mask), image.new_empty(3, *mask.shape)
        for strip in _strips(head, mask):
            _forward_strip(_logits(weights, factor, strip, image.dtype), image, stride, strip.start, log_sum, blurred)
        ctx.save_for_backward(image, factor, weights, mask, sharp, log_sum, blurred)
        ctx.dtypes, ctx.stride = (features.dtype, head.dtype), stride
        return torch.lerp(sharp, blurred, mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, factor, weights, mask, sharp, log_sum, blurred = ctx.saved_tensors
        mask_grad = (grad * (blurred - sharp)).sum(dim=0)
        blurred_grad = grad * mask
        mean = (blurred_grad * blurred).sum(dim=0)
        image_grad = torch.zeros_like(image)
        factor_grad, weights_grad = torch.empty_like(factor), torch.zeros_like(weights, dtype=image.dtype)
        for strip in _strips(weights, mask):
            logits = _logits(weights, factor, strip, image.dtype)
            _backward_strip(logits, image, ctx.stride, strip.start, log_sum, blurred_grad, mean, image_grad)
            logits_grad = logits.flatten(1).to(factor.dtype)
            torch.mm(weights.T, logits_grad, out=factor_grad[:, strip].flatten(1))
            weights_grad += logits_grad @ factor[:, strip].flatten(1).T
        factor_grad, weights_grad = factor_grad.to(ctx.dtypes[0]), weights_grad.to(ctx.dtypes[1])
        return image_grad, factor_grad, weights_grad, mask_grad, grad * (1 - mask), None, None


def _strips(head: Tensor, mask: Tensor) -> list[slice]:
    rows = strip_rows(_side(head), mask.shape[1])
    return [slice(start, min(start + rows, mask.shape[0])) for start in range(0, mask.shape[0], rows)]


def _logits(weights: Tensor, factor: Tensor, strip: slice, dtype: torch.dtype) -> Tensor:
    """(K*K, R, W) logits of a strip of R rows."""
    rows = factor[:, strip]
    return (weights @ rows.flatten(1)).to(dtype).reshape(-1, *rows.shape[1:])


def _has_kernels(image: Tensor) -> bool:
    return image.device.type == "cpu" and image.dtype == torch.float32


def _forward_strip(
    logits: Tensor, image: Tensor, stride: int, first: int, log_sum: Tensor, blurred: Tensor
) -> None:  # fmt: skip
    """Fill the strip's rows of ``log_sum`` (H, W) and ``blurred`` (3, H, W), the weighted sum."""
    rows, side = logits.shape[1], _side(logits)
    if _has_kernels(image):
        from bags.ops.per_pixel_conv_kernels import forward_rows

        arrays = logits.numpy(), image.numpy(), stride, first, log_sum.numpy(), blurred.numpy()
        run_pieces(forward_rows, piece_count(rows, 1), *arrays)
        return
    strip = slice(first, first + rows)
    patches = _patches(image[:, first : first + rows + stride * (side - 1)], side, stride)
    log_sum[strip] = logits.logsumexp(dim=0)
    blurred[:, strip] = torch.einsum("kyx,ckyx->cyx", (logits - log_sum[strip]).exp(), patches)


def _backward_strip(
    logits: Tensor, image: Tensor, stride: int, first: int, log_sum: Tensor, grad: Tensor, mean: Tensor,
    image_grad: Tensor,
) -> None:  # fmt: skip
    """Turn ``logits`` into their gradient and add to ``image_grad``.

    With weights w and ``d_k = sum_c grad_c I_c(x + s k)``, the gradient of a logit is ``w_k (d_k - sum_j w_j d_j)``;
    the sum is ``mean`` (H, W), known from the forward pass. ``grad`` (3, H, W) is that of the weighted sum.
    """
    rows, side = logits.shape[1], _side(logits)
    if _has_kernels(image):
        from bags.ops.per_pixel_conv_kernels import backward_rows, gather_rows

        scattered = image.new_empty(rows, 3, side, image.shape[2]).numpy()
        arrays = image.numpy(), stride, first, log_sum.numpy(), grad.numpy(), mean.numpy(), scattered
        run_pieces(backward_rows, piece_count(rows, 1), logits.numpy(), *arrays)
        run_pieces(gather_rows, piece_count(rows, 1), scattered, stride, first, image_grad.numpy())
        return
    strip, halo = slice(first, first + rows), slice(first, first + rows + stride * (side - 1))
    weights = (logits - log_sum[strip]).exp_()
    patches = _patches(image[:, halo], side, stride)
    torch.mul(weights, torch.einsum("cyx,ckyx->kyx", grad[:, strip], patches) - mean[strip], out=logits)
    spread = (grad[:, None, strip] * weights).flatten(2)
    size = (rows + stride * (side - 1), image.shape[2])
    image_grad[:, halo] += torch.nn.functional.fold(spread, size, (side, side), dilation=stride)[:, 0]
