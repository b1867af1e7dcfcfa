"""Structural similarity, fast on the CPU, and the photometric loss based on it (docs/method.md section 4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bags.ops.ssim_reference import ssim_reference


class _FusedSSIM(torch.autograd.Function):
    """SSIM of float32 CPU images by Numba kernels; most of the gradient is computed in the forward pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, photo: Tensor) -> Tensor:
        from bags.ops.ssim_numba import ssim_and_slopes  # Numba is imported only where it is used

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
        raise ValueError(f"ssim needs two (C, H, W) images of the same shape, got {image.shape} and {photo.shape}")
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
