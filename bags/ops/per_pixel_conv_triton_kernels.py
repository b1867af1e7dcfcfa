"""Triton kernels of the per-pixel convolution (CUDA); ``bags.ops.per_pixel_conv`` says what they compute.

As in flash attention, logits exist only as one block of pixels by taps in registers. The forward kernel keeps a running
maximum and sum; the three backward kernels (features, head, image) recompute the block from the saved log-sum-exp.
Every number is written by one program that sums in a fixed order, without atomics, so results are bitwise repeatable.

Names in capitals are compile-time constants. ``count`` is the number of pixels H * W. Padded rows are
``width + stride * (SIDE - 1)`` long. ``FACTOR`` is the type to which the factors of matrix products are rounded.
Products of float32 are split into three of TF32 ("tf32x3"), which gives about float32 precision on tensor cores.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

import triton
import triton.language as tl

if not hasattr(tl, "gather"):
    raise ImportError(f"Triton {triton.__version__} has no tl.gather: needs 3.2 (PyTorch 2.6)")


@triton.jit
def _feature_block(features, pixel, count, channels, CHANNELS: tl.constexpr, FACTOR: tl.constexpr):
    """(PIXELS, CHANNELS) features of the pixels; 0 beyond ``channels``."""
    channel = tl.arange(0, CHANNELS)[None, :]
    address = features + channel.to(tl.int64) * count + pixel[:, None]
    return tl.load(address, mask=channel < channels, other=0.0).to(FACTOR)


@triton.jit
def _head_block(head, tap, real, channels, CHANNELS: tl.constexpr, FACTOR: tl.constexpr):
    """(TAPS, CHANNELS) rows ``tap`` of the head; 0 where not ``real`` and beyond ``channels``."""
    channel = tl.arange(0, CHANNELS)[None, :]
    here = real[:, None] & (channel < channels)
    return tl.load(head + tap[:, None] * channels + channel, mask=here, other=0.0).to(FACTOR)


@triton.jit
def _tap_offset(tap, stride, padded_width, SIDE: tl.constexpr):
    """Offset in the padded image from a pixel's first tap; for taps that do not exist, that of the last one."""
    tap = tl.minimum(tap, SIDE * SIDE - 1)
    return stride * (tap // SIDE * padded_width + tap % SIDE)


@triton.jit
def forward(
    image, features, head, mask, sharp, result, log_sum, blurred,
    height, width, channels, stride, sharp_plane, sharp_row,
    SIDE: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """One block of pixels of ``result`` and, for the backward pass, of ``log_sum`` (H, W) and ``blurred`` (3, H, W)."""
    count = height * width
    place = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    real = place < count
    pixel = tl.minimum(place, count - 1)
    y, x = pixel // width, pixel % width
    padded_width = width + stride * (SIDE - 1)
    plane = padded_width * (height + stride * (SIDE - 1))
    first = image + y * padded_width + x
    feature = _feature_block(features, pixel, count, channels, CHANNELS, FACTOR)
    top = tl.full([PIXELS], float("-inf"), tl.float32)
    total = tl.zeros([PIXELS], tl.float32)
    red = tl.zeros([PIXELS], tl.float32)
    green = tl.zeros([PIXELS], tl.float32)
    blue = tl.zeros([PIXELS], tl.float32)
    for start in range(0, SIDE * SIDE, TAPS):
        tap = start + tl.arange(0, TAPS)
        exists = tap < SIDE * SIDE
        rows = _head_block(head, tap, exists, channels, CHANNELS, FACTOR)
        logits = tl.dot(feature, tl.trans(rows), input_precision="tf32x3")
        logits = tl.where(exists[None, :], logits, float("-inf"))
        higher = tl.maximum(top, tl.max(logits, 1))
        shrink = tl.exp(top - higher)
        weight = tl.exp(logits - higher[:, None])
        seen = first[:, None] + _tap_offset(tap, stride, padded_width, SIDE)[None, :]
        total = total * shrink + tl.sum(weight, 1)
        red = red * shrink + tl.sum(weight * tl.load(seen), 1)
        green = green * shrink + tl.sum(weight * tl.load(seen + plane), 1)
        blue = blue * shrink + tl.sum(weight * tl.load(seen + 2 * plane), 1)
        top = higher
    tl.store(log_sum + pixel, top + tl.log(total), mask=real)
    share = tl.load(mask + pixel)
    plain = sharp + y * sharp_row + x
    _mix(red / total, share, plain, result + pixel, blurred + pixel, real)
    _mix(green / total, share, plain + sharp_plane, result + count + pixel, blurred + count + pixel, real)
    _mix(blue / total, share, plain + 2 * sharp_plane, result + 2 * count + pixel, blurred + 2 * count + pixel, real)


@triton.jit
def _mix(value, share, plain, result, blurred, real):
    tl.store(blurred, value, mask=real)
    sharp = tl.load(plain)
    tl.store(result, sharp + share * (value - sharp), mask=real)


@triton.jit
def backward_features(
    image, features, head, mask, sharp, log_sum, blurred, grad, features_grad, mask_grad, sharp_grad, mean,
    height, width, channels, stride, sharp_plane, sharp_row,
    SIDE: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """One block of pixels: gradients of features, mask and sharp image, and ``mean`` (H, W).

    With weights w and ``d_k = mask * sum_c grad_c I_c(x + s k)``, the gradient of a logit is ``w_k (d_k - mean)``. Here
    ``mean = sum_k w_k d_k`` is known from the forward pass, as ``mask * sum_c grad_c blurred_c``.
    """
    count = height * width
    place = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    real = place < count
    pixel = tl.minimum(place, count - 1)
    y, x = pixel // width, pixel % width
    padded_width = width + stride * (SIDE - 1)
    plane = padded_width * (height + stride * (SIDE - 1))
    first = image + y * padded_width + x
    share = tl.load(mask + pixel)
    plain = sharp + y * sharp_row + x
    red, green, blue = tl.load(grad + pixel), tl.load(grad + count + pixel), tl.load(grad + 2 * count + pixel)
    along = red * tl.load(blurred + pixel)
    along += green * tl.load(blurred + count + pixel)
    along += blue * tl.load(blurred + 2 * count + pixel)
    across = red * tl.load(plain) + green * tl.load(plain + sharp_plane) + blue * tl.load(plain + 2 * sharp_plane)
    tl.store(mask_grad + pixel, along - across, mask=real)
    tl.store(sharp_grad + pixel, red * (1 - share), mask=real)
    tl.store(sharp_grad + count + pixel, green * (1 - share), mask=real)
    tl.store(sharp_grad + 2 * count + pixel, blue * (1 - share), mask=real)
    along *= share
    tl.store(mean + pixel, along, mask=real)
    red *= share
    green *= share
    blue *= share
    shift = tl.load(log_sum + pixel)
    feature = _feature_block(features, pixel, count, channels, CHANNELS, FACTOR)
    found = tl.zeros([PIXELS, CHANNELS], tl.float32)
    for start in range(0, SIDE * SIDE, TAPS):
        tap = start + tl.arange(0, TAPS)
        rows = _head_block(head, tap, tap < SIDE * SIDE, channels, CHANNELS, FACTOR)
        logits = tl.dot(feature, tl.trans(rows), input_precision="tf32x3")
        seen = first[:, None] + _tap_offset(tap, stride, padded_width, SIDE)[None, :]
        change = red[:, None] * tl.load(seen)
        change += green[:, None] * tl.load(seen + plane)
        change += blue[:, None] * tl.load(seen + 2 * plane)
        weight = tl.where((tap < SIDE * SIDE)[None, :], tl.exp(logits - shift[:, None]), 0.0)
        change = weight * (change - along[:, None])
        found = tl.dot(change.to(FACTOR), rows, found, input_precision="tf32x3")
    channel = tl.arange(0, CHANNELS)[None, :]
    address = features_grad + channel.to(tl.int64) * count + pixel[:, None]
    tl.store(address, found.to(features_grad.dtype.element_ty), mask=real[:, None] & (channel < channels))


@triton.jit
def backward_head(
    image, features, head, mask, log_sum, grad, mean, partial,
    height, width, channels, stride, blocks,
    SIDE: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """One block of taps, summed over ``blocks`` blocks of pixels: a share of the head's gradient.

    Program (t, i) writes block t of ``partial[i]``; ``partial`` is (programs, K*K, C).
    """
    count = height * width
    padded_width = width + stride * (SIDE - 1)
    plane = padded_width * (height + stride * (SIDE - 1))
    tap = tl.program_id(0) * TAPS + tl.arange(0, TAPS)
    exists = tap < SIDE * SIDE
    rows = _head_block(head, tap, exists, channels, CHANNELS, FACTOR)
    offset = _tap_offset(tap, stride, padded_width, SIDE)
    found = tl.zeros([TAPS, CHANNELS], tl.float32)
    for block in range(tl.program_id(1) * blocks, (tl.program_id(1) + 1) * blocks):
        place = block * PIXELS + tl.arange(0, PIXELS)
        pixel = tl.minimum(place, count - 1)
        share = tl.where(place < count, tl.load(mask + pixel), 0.0)
        along = tl.where(place < count, tl.load(mean + pixel), 0.0)
        seen = (image + pixel // width * padded_width + pixel % width)[None, :] + offset[:, None]
        change = tl.load(grad + pixel)[None, :] * tl.load(seen)
        change += tl.load(grad + count + pixel)[None, :] * tl.load(seen + plane)
        change += tl.load(grad + 2 * count + pixel)[None, :] * tl.load(seen + 2 * plane)
        feature = _feature_block(features, pixel, count, channels, CHANNELS, FACTOR)
        logits = tl.dot(rows, tl.trans(feature), input_precision="tf32x3")
        change = tl.exp(logits - tl.load(log_sum + pixel)[None, :]) * (change * share[None, :] - along[None, :])
        found = tl.dot(change.to(FACTOR), feature, found, input_precision="tf32x3")
    channel = tl.arange(0, CHANNELS)[None, :]
    address = partial + (tl.program_id(1) * SIDE * SIDE + tap[:, None]) * channels + channel
    tl.store(address, found, mask=exists[:, None] & (channel < channels))


@triton.jit
def backward_image(
    features, head, mask, log_sum, grad, image_grad,
    height, width, channels, stride, segments,
    SIDE: tl.constexpr, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """Part of one padded image row: gathers from every pixel that saw it.

    The columns of the row fall into ``stride`` classes ``z = class + stride * j``, and each class is seen by pixels of
    the same class only. Program (i, z_y) computes ``PIXELS - SIDE + 1`` columns of one class, j from ``begin`` on. For
    every row of taps it computes the weights of the ``PIXELS`` output pixels that reach these columns, and reads them
    along the diagonals: column j gets ``sum_dx weight[j - dx, dx] * mask * grad``.
    """
    padded_width = width + stride * (SIDE - 1)
    count, plane = height * width, padded_width * (height + stride * (SIDE - 1))
    z_y = tl.program_id(1)
    phase = tl.program_id(0) // segments
    begin = tl.program_id(0) % segments * (PIXELS - SIDE + 1)
    i = tl.arange(0, PIXELS)
    x = phase + stride * (begin - (SIDE - 1) + i)
    real = (x >= 0) & (x < width)
    x = tl.where(real, x, 0)
    red = tl.zeros([PIXELS], tl.float32)
    green = tl.zeros([PIXELS], tl.float32)
    blue = tl.zeros([PIXELS], tl.float32)
    lowest = tl.maximum(0, (z_y - height + stride) // stride)
    for dy in range(lowest, tl.minimum(SIDE - 1, z_y // stride) + 1):
        row = (z_y - stride * dy) * width
        feature = _feature_block(features, row + x, count, channels, CHANNELS, FACTOR)
        shift = tl.load(log_sum + row + x)
        share = tl.where(real, tl.load(mask + row + x), 0.0)
        for start in range(0, SIDE, TAPS):
            dx = start + tl.arange(0, TAPS)
            rows = _head_block(head, dy * SIDE + dx, dx < SIDE, channels, CHANNELS, FACTOR)
            logits = tl.dot(feature, tl.trans(rows), input_precision="tf32x3")
            weight = tl.exp(logits - shift[:, None]) * share[:, None]
            weight = tl.where(real[:, None] & (dx < SIDE)[None, :], weight, 0.0)
            source = i[:, None] + (SIDE - 1) - dx[None, :]
            weight = tl.gather(weight, tl.minimum(tl.maximum(source, 0), PIXELS - 1), 0)
            source_x = phase + stride * (begin + i[:, None] - dx[None, :])
            seen = grad + row + tl.minimum(tl.maximum(source_x, 0), width - 1)
            red += tl.sum(weight * tl.load(seen), 1)
            green += tl.sum(weight * tl.load(seen + count), 1)
            blue += tl.sum(weight * tl.load(seen + 2 * count), 1)
    z = phase + stride * (begin + i)
    kept = (i < PIXELS - SIDE + 1) & (z < padded_width)
    address = image_grad + z_y * padded_width + z
    tl.store(address, red, mask=kept)
    tl.store(address + plane, green, mask=kept)
    tl.store(address + 2 * plane, blue, mask=kept)
