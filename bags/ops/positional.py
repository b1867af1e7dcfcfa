"""The fixed positional code of the Blur Proposal Network's input (docs/method.md section 3, input b)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def positional_code_1d(size: int, channels: int = 8, device: torch.device | str | None = None) -> Tensor:
    """(channels, size) sines and cosines of the positions ``i * 2 pi / size`` along one axis, float32.

    Channels ``j`` and ``j + 1`` are sine and cosine at frequency ``10000^(-j / channels)``, ``j = 0, 2, 4, ...``.
    """
    position = torch.arange(size, device=device) * (2 * math.pi / size)
    frequency = 10000.0 ** (-torch.arange(0, channels, 2, device=device) / channels)
    angle = frequency[:, None] * position
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten(0, 1)


def positional_code_2d(height: int, width: int, channels: int = 16, device: torch.device | str | None = None) -> Tensor:
    """(channels, height, width): the code of the row in the first half of the channels, of the column in the rest.

    Each half is constant along one axis, so a linear layer needs only ``positional_code_1d`` of both axes.
    """
    rows = positional_code_1d(height, channels // 2, device)[:, :, None].expand(-1, -1, width)
    columns = positional_code_1d(width, channels // 2, device)[:, None, :].expand(-1, height, -1)
    return torch.cat([rows, columns])
