"""Pictures from the run's folder as JPEG data URIs, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bags.io.images import read_image

QUALITIES = (85, 75, 60, 45)
LARGEST = 960  # pixels along the longer side
MARK = np.array([255.0, 120.0, 0.0])  # colour of masks and kernels, bright on a darkened photo
COVER = 0.8  # the most that the colour covers of it

Layer = Callable[[Path, str], Image.Image]


def plain(folder: Path, name: str) -> Image.Image:
    """The picture ``folder / name`` itself."""
    return read_image(folder / name).convert("RGB")


def marked(folder: Path, name: str) -> Image.Image:
    """What ``folder / name`` says (black to white), drawn in colour over the view's photo, which is darkened.

    The photo is ``../photo/<name>``; the picture is brought to its size.
    """
    photo = read_image(folder.parent / "photo" / name).convert("L")
    strength = read_image(folder / name).convert("L").resize(photo.size, Image.Resampling.BILINEAR)
    share = np.asarray(strength, dtype=np.float64)[..., None] / 255 * COVER
    grey = 0.5 * np.asarray(photo, dtype=np.float64)[..., None]
    return Image.fromarray(np.round((1 - share) * grey + share * MARK).astype(np.uint8))


@dataclass(frozen=True)
class Jpeg:
    """A picture for the page: its data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def jpeg(image: Image.Image, limit: int) -> Jpeg:
    """``image`` as a JPEG of at most ``limit`` bytes: first quality gives way, then size (down to 32 pixels)."""
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
