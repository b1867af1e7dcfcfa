"""How sharp a picture looks, without another one to compare it with."""

from __future__ import annotations

from torch import Tensor


def laplacian_variance(image: Tensor) -> float:
    """Variance of the Laplacian of the grey image (3, H, W), on values from 0 to 255 as is the custom.

    Noise raises it too, so it compares pictures of like noise; pictures below 3 x 3 pixels have 0.
    """
    if min(image.shape[1:]) < 3:
        return 0.0
    grey = 255 * image.mean(dim=0)
    # Written out: as a convolution, cuDNN would round it to TF32.
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var(correction=0))
