"""Sharpness of an image without a reference."""

from __future__ import annotations

from torch import Tensor


def laplacian_variance(image: Tensor) -> float:
    """Variance of the Laplacian of the grey image (3, H, W), on the customary values from 0 to 255.

    Noise also raises it, so it compares only images of similar noise. It is 0 for images below 3 x 3 pixels.
    """
    if min(image.shape[1:]) < 3:
        return 0.0
    grey = 255 * image.mean(dim=0)
    # Written out, because cuDNN would round a convolution to TF32.
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var(correction=0))
