"""What is shown at a photo's viewpoint: one layer in the whole window, or several side by side."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bags.viewer.frame import Frame
from bags.viewer.painter import FROM_ANYWHERE, OF_A_PHOTO, Painter, Stop

SIDE_BY_SIDE = "side by side"
BESIDE = ("photo", "sharp", "predicted blur")
LAYERS = ("sharp", "photo", "predicted blur", SIDE_BY_SIDE, "depth", "mask", "points", "ellipsoids")


@dataclass(frozen=True)
class Shown:
    """A picture of the window's shape.

    Attributes:
        picture: (3, height, width) in [0, 1].
        frame: where the photo is in it.
        note: text about it for the panel; may be empty.
    """

    picture: Tensor
    frame: Frame
    note: str


def at_photo(painter: Painter, stop: Stop, layer: str, coarse: bool, window: tuple[int, int], pixels: float) -> Shown:
    """Draw a layer at a photo's viewpoint; the sharp render if the photo has no such layer.

    Args:
        painter: draws it.
        stop: the photo and its viewpoint.
        layer: one of ``LAYERS``.
        coarse: draw at most the resolution at which the photo is trained, and show pixels as squares.
        window: its width and height.
        pixels: largest number of pixels of the picture.
    """
    wanted = BESIDE if layer == SIDE_BY_SIDE else (layer,)
    missing = [name for name in wanted if name in OF_A_PHOTO and painter.of_photo(name, stop) is None]
    names = [name for name in wanted if name not in missing] or ["sharp"]
    frame = Frame.around(stop.camera, *window, pixels, len(names))
    note = f"\n\n{frame.order}: {', '.join(names)}" if len(names) > 1 else ""
    note += "".join(f"\n\n*{name}*: none for this photo, or not at this step" for name in missing)
    if len(names) == 1 and names[0] in FROM_ANYWHERE and not coarse:
        return Shown(painter.from_anywhere(names[0], frame.camera(stop.camera)), frame, note)
    pictures = [_layer(painter, stop, name, coarse, frame) for name in names]
    return Shown(frame.filled(pictures, squares=coarse), frame, note)


def _layer(painter: Painter, stop: Stop, name: str, coarse: bool, frame: Frame) -> Tensor:
    """(3, h, w) view of the photo's camera, at the size of a box of ``frame`` or of the photo."""
    found = painter.of_photo(name, stop) if name in OF_A_PHOTO else None
    if found is not None:
        return found
    camera, box = stop.camera, frame.boxes[0]
    if not coarse or camera.width > box.width:
        camera = camera.resized(box.width, box.height)
    return painter.from_anywhere(name, camera)
