"""Runs the Triton kernels of the per-pixel convolution (``bags.ops.per_pixel_conv``) on CUDA tensors.

Memory beyond inputs, result and their gradients: 4 planes of (H, W) float32 saved for the backward pass (log-sum-exp
and blurred image). The backward pass needs one more plane, and the shares of the head's gradient, at most
``SHARES * K * K * C`` numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from bags.ops import per_pixel_conv_triton_kernels as kernels

SHARES = 64  # parts of the image whose head gradients are summed at the end; a fixed number, for repeatable results
# Taps that a program of the image gradient processes at a time. With 8, a row of K = 17 wastes 7 of 24; with 16, 15 of
# 32. Older compilers do not support such a narrow product.
IMAGE_TAPS = 8 if tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 3) else 16
MAX_CHANNELS = 128  # with more, a block of features does not fit into shared memory
MAX_SIDE = 63
TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


class Launch(NamedTuple):
    """How one kernel is launched.

    Attributes:
        grid: programs along each axis.
        numbers: its arguments after the tensors.
        sizes: its compile-time constants.
        options: of the compiler.
    """

    grid: tuple[int, ...]
    numbers: tuple[int, ...]
    sizes: dict[str, int]
    options: dict[str, int]


def takes(image: Tensor, features: Tensor, head: Tensor) -> bool:
    """Whether the kernels support these types and sizes."""
    small = head.shape[0] <= MAX_SIDE**2 and head.shape[1] <= MAX_CHANNELS
    return small and image.dtype == torch.float32 and features.dtype in TYPES


def launches(side: int, channels: int, height: int, width: int, stride: int) -> dict[str, Launch]:
    """How each kernel is launched, by its name.

    The sizes are the largest with which the compiler keeps everything in registers for K = 17 and C = 64.
    """
    padded = max(16, triton.next_power_of_2(channels))  # sides of matrix products are powers of 2, at least 16
    # The image gradient's programs hold the weights of ``seen`` pixels, enough for seen - K + 1 columns.
    pixels, seen = (64, 128) if padded <= 64 else (32, 64)
    blocks = triton.cdiv(height * width, pixels)
    shares = min(SHARES, blocks)
    halo = stride * (side - 1)
    segments = triton.cdiv(triton.cdiv(width + halo, stride), seen - side + 1)
    whole = (height, width, channels, stride)
    sizes = {"SIDE": side, "CHANNELS": padded, "PIXELS": pixels}
    few, many = ({"num_warps": warps, "num_stages": 2, "enable_fp_fusion": True} for warps in (4, 8))
    return {
        "forward": Launch((blocks,), whole, {**sizes, "TAPS": 16}, few),
        "backward_features": Launch((blocks,), whole, {**sizes, "TAPS": 16}, few),
        "backward_head": Launch(
            (triton.cdiv(side * side, 32), shares), (*whole, triton.cdiv(blocks, shares)), {**sizes, "TAPS": 32}, many
        ),
        "backward_image": Launch(
            (stride * segments, height + halo), (*whole, segments), {**sizes, "PIXELS": seen, "TAPS": IMAGE_TAPS}, many
        ),
    }


class TritonConv(torch.autograd.Function):
    """``per_pixel_conv`` of checked arguments that ``takes`` accepts."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, features: Tensor, head: Tensor, mask: Tensor, sharp: Tensor, bfloat16: bool,
        stride: int,
    ) -> Tensor:  # fmt: skip
        """One kernel; saves its inputs, the log-sum-exp of the logits and the blurred image."""
        image, features, head, mask = (x.contiguous() for x in (image, features, head, mask))
        sharp = sharp if sharp.stride(2) == 1 else sharp.contiguous()
        result, blurred = image.new_empty(3, *mask.shape), image.new_empty(3, *mask.shape)
        log_sum = torch.empty_like(mask)
        ctx.factor = torch.bfloat16 if bfloat16 else features.dtype
        ctx.plan = launches(math.isqrt(head.shape[0]), head.shape[1], mask.shape[0], mask.shape[1], stride)
        ctx.save_for_backward(image, features, head, mask, sharp, log_sum, blurred)
        tensors = image, features, head, mask, sharp, result, log_sum, blurred
        _launch(ctx, "forward", tensors, *sharp.stride()[:2])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Three kernels; that of features, mask and sharp image is first, because it writes what another one reads."""
        image, features, head, mask, sharp, log_sum, blurred = ctx.saved_tensors
        grad = grad.contiguous()
        image_grad, features_grad, mask_grad = (torch.empty_like(x) for x in (image, features, mask))
        sharp_grad, mean = torch.empty_like(grad), torch.empty_like(mask)
        tensors = image, features, head, mask, sharp, log_sum, blurred, grad
        found = features_grad, mask_grad, sharp_grad, mean
        _launch(ctx, "backward_features", (*tensors, *found), *sharp.stride()[:2])
        _launch(ctx, "backward_image", (features, head, mask, log_sum, grad, image_grad))
        partial = image.new_empty(ctx.plan["backward_head"].grid[1], *head.shape)
        _launch(ctx, "backward_head", (image, features, head, mask, log_sum, grad, mean, partial))
        return image_grad, features_grad, partial.sum(dim=0).to(head.dtype), mask_grad, sharp_grad, None, None


def _launch(ctx: Any, name: str, tensors: tuple[Tensor, ...], *strides: int) -> None:
    grid, numbers, sizes, options = ctx.plan[name]
    with torch.cuda.device_of(tensors[0]):  # Triton launches on the current device
        getattr(kernels, name)[grid](*tensors, *numbers, *strides, **sizes, FACTOR=TYPES[ctx.factor], **options)
