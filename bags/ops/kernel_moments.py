"""Mean and covariance of the blur of predicted kernels and mask."""

from __future__ import annotations

import torch
from torch import Tensor

from bags.ops.smoothing import smoothing_variance

STRIP = 4096  # kernels at a time: the K^2 weights of a whole image are never in memory at once


@torch.no_grad()
def raw_moments(features: Tensor, head: Tensor, stride: int = 1) -> Tensor:
    """(5, H, W) means of x, y, xx, xy and yy under every kernel, in pixels; linear in the kernels.

    Args:
        features: (C, H, W) hidden features.
        head: (K*K, C) maps features to kernel logits.
        stride: pixels from one tap to the next; the smoothing between taps is part of the blur.
    """
    side = round(head.shape[0] ** 0.5)
    axis = stride * (torch.arange(side, dtype=head.dtype, device=head.device) - side // 2)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    wider = smoothing_variance(stride)
    basis = torch.stack([x, y, x * x + wider, x * y, y * y + wider]).reshape(5, -1)
    columns = features.reshape(len(features), -1)

    def weights(pixels: slice) -> Tensor:
        return (head @ columns[:, pixels].to(head.dtype)).softmax(dim=0)

    strips = [slice(start, start + STRIP) for start in range(0, columns.shape[1], STRIP)]
    return torch.cat([basis @ weights(strip) for strip in strips], dim=1).reshape(5, *features.shape[1:])


def effective_moments(raw: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """First and second moments of the effective kernel ``m w + (1 - m) delta`` of every pixel.

    Args:
        raw: (5, H, W) as ``raw_moments`` gives them.
        mask: (H, W) in [0, 1].

    Returns:
        mean (2, H, W): displacement (x, y) in pixels, and covariance (3, H, W): (xx, xy, yy) in pixels squared.
    """
    mean, second = (mask * raw).split([2, 3])
    return mean, second - torch.stack([mean[0] * mean[0], mean[0] * mean[1], mean[1] * mean[1]])
