"""Blur by a Gaussian of a different width at every pixel, at the cost of a few small filters.

The image is smoothed to a series of widths (rungs). Every pixel is interpolated between the two rungs around its
variance, so that the mean has exactly that variance. Each rung is computed from the one before, by taps of weight a,
1 - 2 a and a that are s pixels apart and add ``2 a s^2`` to the variance (the a trous algorithm, Holschneider et al.
1989).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

# Weight a and distance s of the taps that lead to each rung.
TAPS = ((0.125, 1), (0.125, 1), (0.25, 1), (0.125, 2), (0.25, 2), (0.125, 4), (0.25, 4), (0.125, 8))
RUNGS = (0.0, *(sum(2 * a * s * s for a, s in TAPS[: n + 1]) for n in range(len(TAPS))))  # 0, 1/4, 1/2, 1, 2, ... 32
LARGEST = RUNGS[-1]


def spread(image: Tensor, variance: Tensor) -> Tensor:
    """The image, each pixel blurred by a Gaussian of its own variance.

    Args:
        image: (C, H, W); its border is replicated.
        variance: (H, W) along one axis, in pixels squared; limited to ``LARGEST``.

    Returns:
        (C, H, W); differentiable with respect to both.
    """
    return _mix(image, variance, 0) if _beyond(variance, 0) else image


def _beyond(variance: Tensor, rung: int) -> bool:
    return rung < len(TAPS) and bool((variance.detach() > RUNGS[rung]).any())


def _mix(lower: Tensor, variance: Tensor, rung: int) -> Tensor:
    """Interpolate between ``lower``, the image at ``rung``, and the rungs above it."""
    above = _smoothed(lower, *TAPS[rung])
    if _beyond(variance, rung + 1):
        above = _mix(above, variance, rung + 1)
    part = ((variance - RUNGS[rung]) / (RUNGS[rung + 1] - RUNGS[rung])).clamp(0, 1)
    return torch.lerp(lower, above, part)


def _smoothed(image: Tensor, weight: float, distance: int) -> Tensor:
    """Implemented with slices: convolutions of single channels take many times as long on a CPU."""
    wide = pad(image[None], (distance,) * 4, mode="replicate")[0]
    for axis in (1, 2):
        size = wide.shape[axis] - 2 * distance
        below, middle, after = (wide.narrow(axis, start * distance, size) for start in range(3))
        wide = (1 - 2 * weight) * middle + weight * (below + after)
    return wide
