"""sRGB values and linear light, with gradients (IEC 61966-2-1): blur mixes light, and photos hold sRGB values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Constants of the standard; each curve is linear near black, so that no slope is infinite.
_SLOPE, _KNEE, _OFFSET, _EXPONENT = 12.92, 0.0031308, 0.055, 2.4


def to_linear(values: Tensor) -> Tensor:
    """Linear light of sRGB ``values``, elementwise; usually in [0, 1], and extrapolated beyond."""
    return _ToLinear.apply(values)


def to_srgb(light: Tensor) -> Tensor:
    """Values in sRGB of linear ``light``, elementwise: the inverse of ``to_linear``."""
    return _ToSrgb.apply(light)


class _ToLinear(torch.autograd.Function):
    """``((v + 0.055) / 1.055) ** 2.4``, below the knee ``v / 12.92``; the slope of the power is 2.4 y / (v + 0.055)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        shifted = values.clamp(min=_KNEE * _SLOPE) + _OFFSET
        curve = (shifted / (1 + _OFFSET)) ** _EXPONENT
        dark = values <= _KNEE * _SLOPE
        ctx.save_for_backward(torch.where(dark, 1 / _SLOPE, _EXPONENT * curve / shifted))
        return torch.where(dark, values / _SLOPE, curve)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return gradient * slope


class _ToSrgb(torch.autograd.Function):
    """``1.055 x ** (1 / 2.4) - 0.055``, below the knee ``12.92 x``; the slope of the power is y / (2.4 x)."""

    @staticmethod
    def forward(ctx: Any, light: Tensor) -> Tensor:
        bright = light.clamp(min=_KNEE)
        curve = (1 + _OFFSET) * bright ** (1 / _EXPONENT)
        dark = light <= _KNEE
        ctx.save_for_backward(torch.where(dark, _SLOPE, curve / (_EXPONENT * bright)))
        return torch.where(dark, light * _SLOPE, curve - _OFFSET)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return gradient * slope
