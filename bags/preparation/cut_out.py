"""Photos that are transparent in part: what was cut away has no details, and stays away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

ALPHAS, MASKS = "alphas", "masks"  # folders of a preparation, beside its ``photos``


def has_alpha(photo: Image.Image) -> bool:
    """Is any of it transparent?"""
    return photo.mode == "RGBA" and int(np.asarray(photo.getchannel("A")).min()) < 255


def on_black(photo: Image.Image) -> Image.Image:
    """``photo`` as RGB; the more transparent, the darker."""
    if photo.mode != "RGBA":
        return photo.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", photo.size, (0, 0, 0, 255)), photo).convert("RGB")


def without_hidden(photo: Image.Image) -> Image.Image:
    """An RGBA photo that is black where it is wholly transparent, so that nobody sees again what was removed."""
    pixels = np.array(photo)
    pixels[pixels[..., 3] == 0] = 0
    return Image.fromarray(pixels)


def take_apart(work: Path, names: Iterable[str]) -> None:
    """Make of the photos in ``work/photos/`` what COLMAP takes: RGB, on black where they are transparent.

    Their transparency goes to ``work/alphas/``, under the photo's name, and masks to ``work/masks/``, one of every
    photo: no details are looked for where it is black.

    Args:
        work: folder of the preparation.
        names: of all photos.
    """
    for folder in (ALPHAS, MASKS):
        (work / folder).mkdir()
    for name in names:
        mask = work / MASKS / f"{name}.png"  # as COLMAP calls it
        with Image.open(work / "photos" / name) as photo:
            if photo.mode != "RGBA":
                Image.new("L", photo.size, 255).save(mask)
                continue
            photo.load()
            exif = photo.getexif()
        alpha = photo.getchannel("A")
        alpha.save(work / ALPHAS / name)
        alpha.save(mask)
        on_black(photo).save(work / "photos" / name, exif=exif)


def put_together(photos: Path, alphas: Path) -> None:
    """Give photos their transparency back, both undistorted.

    Args:
        photos: RGB on black; those that have a namesake become RGBA.
        alphas: the transparency, as grey or RGB pictures.
    """
    for path in alphas.iterdir():
        with Image.open(photos / path.name) as photo, Image.open(path) as grey:
            colours, alpha = np.asarray(photo.convert("RGB"), dtype=np.float32), np.asarray(grey.convert("L"))
        # On black a pixel has its colour times its opacity.
        colours = np.divide(colours, alpha[..., None] / 255, out=np.zeros_like(colours), where=alpha[..., None] > 0)
        pixels = np.dstack([colours.round().clip(0, 255).astype(np.uint8), alpha])
        Image.fromarray(pixels).save(photos / path.name)
