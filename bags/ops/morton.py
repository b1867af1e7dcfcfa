"""An order of points that keeps neighbours close together."""

from __future__ import annotations

import torch
from torch import Tensor

BITS = 21  # of each coordinate: three of them fit into an int64


def morton_order(points: Tensor) -> Tensor:
    """(P,) indices that sort ``points`` (P, 3) along the Z-order curve: by their interleaved coordinate bits."""
    low, high = points.amin(0), points.amax(0)
    cells = ((points - low).double() / (high - low).clamp_min(1e-30).double() * (2**BITS - 1)).long()
    codes = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for bit in range(BITS):
        for axis in range(3):
            codes |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return codes.argsort(stable=True)
