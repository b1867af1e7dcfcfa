"""Masks of photos, as in COLMAP: white where a photo is used, black where it is not."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from bags.errors import DataError
from bags.io.images import image_size, read_image

FOLDER = "masks"  # beside the folder of photos
COUNTS = 128  # lowest grey level of a used pixel


def mask_name(photo: str) -> str:
    """File name of the mask of the photo ``photo``: the photo's whole name and ``.png``."""
    return f"{photo}.png"


def black_or_white(picture: Image.Image) -> Image.Image:
    """``picture`` as 8-bit grey, 255 where it is at least as bright as ``COUNTS`` and 0 elsewhere."""
    return picture.convert("L").point(lambda level: 255 if level >= COUNTS else 0)


def read_mask(path: Path, photo: Path) -> Image.Image:
    """A mask as an 8-bit grey image of 0 and 255; colours are converted to grey, transparency to black.

    Raises:
        DataError: it is not an image, has not the photo's size, or hides all of it.
    """
    picture, size = read_image(path), image_size(photo)
    if picture.size != size:
        here, there = (f"{width} x {height}" for width, height in (picture.size, size))
        raise DataError(f"{path}: the mask has {here} pixels, but its photo {photo.name} {there}; resize the mask")
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", size, (0, 0, 0, 255)), picture)
    mask = black_or_white(picture)
    if mask.getbbox() is None:
        raise DataError(f"{path}: the mask hides all of {photo.name}; make the parts to use white, or remove the photo")
    return mask
