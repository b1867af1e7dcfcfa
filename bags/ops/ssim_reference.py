"""Structural similarity as 3DGS computes it (docs/method.md section 4), in plain torch.

11x11 Gaussian window of sigma 1.5, zero padding, data range 1, mean over all pixels and channels.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


@lru_cache
def window(dtype: torch.dtype = torch.float64, device: torch.device | None = None) -> Tensor:
    """(11,) Gaussian weights that sum to 1; the 2D window is their outer product. Cached: a copy waits for the GPU."""
    taps = torch.exp(-torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64).square() / (2 * SIGMA**2))
    return (taps / taps.sum()).to(device, dtype)


def ssim_reference(image: Tensor, photo: Tensor) -> Tensor:
    """SSIM in plain torch: any device and float type, differentiable in both images.

    Args:
        image: (C, H, W) in [0, 1].
        photo: (C, H, W) in [0, 1].

    Returns:
        () mean SSIM, at most 1.
    """
    channels = len(image)
    taps = window(image.dtype, image.device)
    maps = torch.cat([image, photo, image * image, photo * photo, image * photo])[None]
    kernel = taps.expand(5 * channels, 1, 11)
    maps = conv2d(maps, kernel[..., None], padding=(RADIUS, 0), groups=5 * channels)
    maps = conv2d(maps, kernel[..., None, :], padding=(0, RADIUS), groups=5 * channels)
    mean_x, mean_y, square_x, square_y, product = maps[0].unflatten(0, (5, channels))
    covariance = product - mean_x * mean_y
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    luminance = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    return (luminance * (2 * covariance + C2) / (variances + C2)).mean()
