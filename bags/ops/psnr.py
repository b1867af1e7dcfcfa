"""Peak signal-to-noise ratio as a training signal."""

from __future__ import annotations

from torch import Tensor


def psnr(image: Tensor, photo: Tensor) -> float:
    """PSNR in dB of two images in [0, 1], as a training signal (test metrics are in ``bags.modules.metrics``)."""
    return float(-10 * (image - photo).square().mean().clamp_min(1e-10).log10())
