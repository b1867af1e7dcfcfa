"""Parts of a photo: training at full resolution uses one window per step (docs/full_resolution.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from bags.ops.random import uniform

GRID = 16  # windows begin at multiples of it, like the rasterisers' tiles, so that their renders are exact


class Window(NamedTuple):
    """A rectangle of pixels: first column and row, width and height."""

    left: int
    top: int
    width: int
    height: int

    def of(self, image: Tensor) -> Tensor:
        """That part of a (..., H, W) image, as a view."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def moved(self, right: int, down: int) -> Window:
        """A window of the same size elsewhere."""
        return self._replace(left=self.left + right, top=self.top + down)


def draw_window(width: int, height: int, side: int, seed: int, step: int, slot: int = 0) -> Window:
    """The window of a ``width`` x ``height`` photo that ``step`` uses: a function of seed, step and slot alone.

    Along each axis the window's place is drawn uniformly, from a range that extends a whole window beyond both borders,
    and then moved inside. So pixels at the border are used as often as those in the middle, and those about a window
    away from the border up to twice as often. Without the extended range the outermost pixels would rarely be used.

    Args:
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        side: of the window in pixels, limited to the photo. Windows at the right and lower border are up to
            ``GRID - 1`` pixels larger, so that every window begins on the grid.
        seed: of the run.
        step: 1-based.
        slot: of the view within the step.
    """
    across, down = uniform((2,), seed, step, f"window {slot}").tolist()
    left, right = _span(width, side, across)
    top, bottom = _span(height, side, down)
    return Window(left, top, right - left, bottom - top)


def tiles(width: int, height: int, side: int | None) -> Iterator[Window]:
    """Windows on the grid that cover a ``width`` x ``height`` image once, similar in size, about ``side`` or smaller.

    With ``side`` None, one window covers the whole image.
    """
    for top, bottom in pairwise(_edges(height, side)):
        for left, right in pairwise(_edges(width, side)):
            yield Window(left, top, right - left, bottom - top)


def _edges(size: int, side: int | None) -> list[int]:
    parts = 1 if side is None else -(-size // side)
    return [round(i * size / parts / GRID) * GRID for i in range(parts)] + [size]


def _span(size: int, side: int, draw: float) -> tuple[int, int]:
    """First and one past last pixel along one axis, for ``draw`` in [0, 1)."""
    last = max(0, size - side) // GRID * GRID
    start = min(max(round((draw * (size + side) - side) / GRID) * GRID, 0), last)
    return start, size if start == last else start + side
