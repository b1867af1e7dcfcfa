"""Bilinear upsampling of a part of an image."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from bags.ops.windows import Window


def enlarged(image: Tensor, factor: int, part: Window) -> Tensor:
    """(C, part.height, part.width): ``part`` of ``image`` enlarged ``factor`` times; bilinear, constant at the border.

    Only the pixels that the part needs are enlarged; the result is the same as if all were.

    Args:
        image: (C, H, W); its pixel (i, j) covers the rows from ``factor * i`` and the columns from ``factor * j``, up
            to those of the next pixel, of the enlarged image.
        factor: at least 1.
        part: in pixels of the enlarged image, within ``factor * H`` x ``factor * W``.
    """
    if factor == 1:
        return part.of(image)
    left, right = _needed(part.left, part.width, factor, image.shape[2])
    top, bottom = _needed(part.top, part.height, factor, image.shape[1])
    around = interpolate(image[None, :, top:bottom, left:right], scale_factor=factor, mode="bilinear")[0]
    return part.moved(-factor * left, -factor * top).of(around)


def _needed(start: int, length: int, factor: int, size: int) -> tuple[int, int]:
    """First and one past last coarse pixel, along one axis, that ``length`` fine pixels from ``start`` on need."""
    return max(0, start // factor - 1), min(size, (start + length - 1) // factor + 2)
