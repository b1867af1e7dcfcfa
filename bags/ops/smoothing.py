"""Smoothing for taps several pixels apart: a box filter as wide as their distance (docs/full_resolution.md)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d


def box_taps(stride: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Tensor:
    """(2 r + 1,) weights of a box ``stride`` pixels wide around a pixel's centre; an even one halves two pixels."""
    radius = smoothing_radius(stride)
    distance = torch.arange(-radius, radius + 1, dtype=dtype, device=device).abs()
    return ((stride + 1) / 2 - distance).clamp(0, 1) / stride


def smoothing_radius(stride: int) -> int:
    """Pixels on every side that ``smoothed`` needs, r."""
    return stride // 2


def smoothed(image: Tensor, stride: int) -> Tensor:
    """(C, H, W) mean over ``stride`` x ``stride`` pixels around every pixel; stride 1 changes nothing.

    Neighbouring taps then see adjacent areas without gaps or overlap. Pooling is used instead of convolutions, because
    cuDNN rounds the factors of those to TF32 (10 bits) unless that is disabled for the whole process.

    Args:
        image: (C, H + 2 r, W + 2 r) with r = ``smoothing_radius(stride)``.
        stride: pixels from one tap to the next.
    """
    if stride == 1:
        return image
    means = avg_pool2d(avg_pool2d(image, (stride, 1), stride=1), (1, stride), stride=1)
    return means if stride % 2 else avg_pool2d(means, 2, stride=1)  # half-covered pixels of an even box: ``box_taps``


def smoothing_variance(stride: int) -> float:
    """Variance of ``box_taps`` along one axis, in pixels squared."""
    taps = box_taps(stride, torch.float64)
    distance = torch.arange(len(taps), dtype=torch.float64) - len(taps) // 2
    return float((taps * distance**2).sum())


def reach(side: int, stride: int) -> int:
    """Pixels on every side that a kernel of ``side`` x ``side`` taps sees, including its smoothing."""
    return stride * (side // 2) + smoothing_radius(stride)
