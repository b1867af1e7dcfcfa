"""Pictures of the run's folder as JPEG data URIs, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bags.io.images import read_image

QUALITIES = (85, 75, 60, 45)
LARGEST = 960  # pixels along the longer side

Layer = Callable[[Path, str], Image.Image]


def plain(folder: Path, name: str) -> Image.Image:
    """The picture ``folder / name`` itself."""
    return read_image(folder / name).convert("RGB")


@dataclass(frozen=True)
class Jpeg:
    """A picture for the page: its data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def jpeg(image: Image.Image, limit: int) -> Jpeg:
    """``image`` as a JPEG of at most ``limit`` bytes: first quality is reduced, then size (down to 32 pixels)."""
    image = image.copy()
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    while True:
        for quality in QUALITIES:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, optimize=True)
            if file.tell() <= limit:
                break
        if file.tell() <= limit or max(image.size) <= 32:
            break
        image.thumbnail((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.LANCZOS)
    return Jpeg("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"), *image.size)
