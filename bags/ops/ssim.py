"""Structural similarity as 3DGS computes it, and the photometric loss made of it (docs/method.md section 4).

11x11 Gaussian window of sigma 1.5, zero padding, data range 1, mean over all pixels and channels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


@lru_cache
def window(dtype: torch.dtype = torch.float64, device: torch.device | None = None) -> Tensor:
    """(11,) Gaussian weights that sum to 1; the 2D window is their outer product. Kept: copying waits."""
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


class _FusedSSIM(torch.autograd.Function):
    """SSIM of float32 CPU images by the Numba kernels; most of the gradient is taken in the forward pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, photo: Tensor) -> Tensor:
        from bags.ops.ssim_numba import ssim_and_slopes

        value, slopes = ssim_and_slopes(image.detach().numpy(), photo.detach().numpy())
        ctx.save_for_backward(image, photo)
        ctx.slopes = slopes
        return image.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        from bags.ops.ssim_numba import image_gradient

        image, photo = ctx.saved_tensors
        gradient = image_gradient(image.detach().numpy(), photo.detach().numpy(), ctx.slopes, float(grads[0]))
        return torch.from_numpy(gradient), None


def ssim(image: Tensor, photo: Tensor) -> Tensor:
    """Mean SSIM of ``image`` with ``photo``; fast on the CPU.

    Args:
        image: (C, H, W) in [0, 1]; gets a gradient.
        photo: (C, H, W) in [0, 1]; gets none.

    Returns:
        () mean SSIM, at most 1.
    """
    if image.shape != photo.shape or image.dim() != 3:
        raise ValueError(f"ssim: two (C, H, W) images of one shape needed, got {image.shape} and {photo.shape}")
    photo = photo.detach()
    if image.device.type != "cpu" or image.dtype != torch.float32 or photo.dtype != torch.float32:
        return ssim_reference(image, photo)
    value: Tensor = _FusedSSIM.apply(image.contiguous(), photo.contiguous())
    return value


def l1_ssim(image: Tensor, photo: Tensor, weight: float) -> Tensor:
    """Photometric loss ``(1 - weight) L1 + weight (1 - SSIM)``.

    Args:
        image: (C, H, W) in [0, 1]; gets a gradient.
        photo: (C, H, W) in [0, 1]; gets none.
        weight: of the SSIM term, in [0, 1]; at 0 SSIM is not computed.
    """
    loss = (1 - weight) * (image - photo).abs().mean()
    return loss + weight * (1 - ssim(image, photo)) if weight > 0 else loss
