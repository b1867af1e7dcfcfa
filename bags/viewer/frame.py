"""Where photos are in a window, and the camera that draws the whole window around one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bags.types import Camera

GREY = 0.15  # around photos


@dataclass(frozen=True)
class Box:
    """A photo's rectangle in the window, in pixels of the picture that is drawn."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Frame:
    """The picture that fills a window, with boxes for one or more photos of the same size, as large as possible.

    Attributes:
        width, height: pixels of the picture.
        boxes: from left to right, or from top to bottom.
    """

    width: int
    height: int
    boxes: tuple[Box, ...]

    @classmethod
    def around(cls, camera: Camera, width: int, height: int, pixels: float, count: int = 1) -> Frame:
        """The frame of ``count`` photos of ``camera``'s shape.

        Args:
            camera: only its width and height are used.
            width: of the window.
            height: of the window.
            pixels: largest number of pixels of the picture. It has the window's aspect ratio, and at most its pixels.
            count: of photos.
        """
        scale = min(1.0, math.sqrt(pixels / (width * height)))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        beside, below = _boxes(camera, width, height, count, 1), _boxes(camera, width, height, 1, count)
        return cls(width, height, beside if beside[0].width >= below[0].width else below)

    @property
    def order(self) -> str:
        """In which order to read the boxes."""
        return "left to right" if self.boxes[0].top == self.boxes[-1].top else "top to bottom"

    def camera(self, camera: Camera) -> Camera:
        """The camera that sees in the first box what ``camera`` sees, and around it the surroundings."""
        box = self.boxes[0]
        whole = camera.resized(box.width, box.height).cropped(-box.left, -box.top, self.width, self.height)
        return replace(whole, corner=(0, 0), photo=None)  # not a part of the photo: its edges do not matter

    def filled(self, pictures: Sequence[Tensor], squares: bool) -> Tensor:
        """(3, height, width): grey, with the pictures in the boxes.

        Args:
            pictures: (3, h, w) each, of any size; one per box.
            squares: enlarge pixels to squares instead of interpolating.
        """
        canvas = torch.full((3, self.height, self.width), GREY)
        for picture, box in zip(pictures, self.boxes, strict=True):
            canvas[:, box.top : box.top + box.height, box.left : box.left + box.width] = _fitted(picture, box, squares)
        return canvas

    def place(self, across: float, down: float) -> tuple[float, float] | None:
        """Map a place in the window to one in the photo, both as fractions of the sides; None outside the photos."""
        column, row = across * self.width, down * self.height
        for box in self.boxes:
            found = (column - box.left) / box.width, (row - box.top) / box.height
            if all(0 <= part < 1 for part in found):
                return found
        return None


def _boxes(camera: Camera, width: int, height: int, columns: int, rows: int) -> tuple[Box, ...]:
    """The largest boxes of ``camera``'s aspect ratio, each in the middle of its cell."""
    fit = min(width / (columns * camera.width), height / (rows * camera.height))
    wide, high = max(1, int(camera.width * fit)), max(1, int(camera.height * fit))
    return tuple(
        Box(
            int((column + 0.5) * width / columns - wide / 2), int((row + 0.5) * height / rows - high / 2), wide, high
        )
        for row in range(rows)
        for column in range(columns)
    )  # fmt: skip


def _fitted(picture: Tensor, box: Box, squares: bool) -> Tensor:
    """``picture`` at a box's size."""
    mode = "area" if picture.shape[1] > box.height else "nearest" if squares else "bilinear"
    return interpolate(picture[None].cpu(), size=(box.height, box.width), mode=mode)[0]
