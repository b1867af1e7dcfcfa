"""Depth maps."""

from __future__ import annotations

import torch
from torch import Tensor


def normalised(depth: Tensor) -> Tensor:
    """Depth minus its minimum, divided by the new maximum (docs/method.md section 3); constant depth gives zeros."""
    shifted = depth - depth.min()
    return shifted / shifted.max().clamp_min(torch.finfo(depth.dtype).tiny)
