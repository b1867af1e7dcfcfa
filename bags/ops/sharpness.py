"""How sharp a picture looks, without another one to compare it with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d


def laplacian_variance(image: Tensor) -> float:
    """Variance of the Laplacian of the grey image (3, H, W), on values from 0 to 255 as is the custom.

    Noise raises it too, so it compares pictures of like noise; pictures below 3 x 3 pixels have 0.
    """
    if min(image.shape[1:]) < 3:
        return 0.0
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=image.dtype, device=image.device)
    return float(conv2d(255 * image.mean(dim=0)[None, None], kernel[None, None]).var(correction=0))
