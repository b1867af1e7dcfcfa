"""Peak signal-to-noise ratio as a training signal."""

from __future__ import annotations

from torch import Tensor


def square_error(image: Tensor, photo: Tensor, counts: Tensor | None = None) -> Tensor:
    """() mean squared difference of two (C, H, W) images, over the pixels where ``counts`` (H, W) is true, if given."""
    error = (image - photo).square()
    return error.mean() if counts is None else (error * counts).mean() / counts.float().mean().clamp_min(1e-10)


def psnr(image: Tensor, photo: Tensor, counts: Tensor | None = None) -> float:
    """PSNR in dB of two images in [0, 1], as a training signal (test metrics are in ``bags.modules.metrics``)."""
    return float(-10 * square_error(image, photo, counts).clamp_min(1e-10).log10())
