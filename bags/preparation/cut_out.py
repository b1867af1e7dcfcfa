"""Photos that are transparent in part: what was cut away has no details, and stays away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

ALPHAS = "alphas"  # folder of a preparation: the transparency of the photos that have some, as grey pictures


def has_alpha(photo: Image.Image) -> bool:
    """Is any of it transparent?"""
    return photo.mode == "RGBA" and photo.getextrema()[3][0] < 255  # type: ignore[index]


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
    """Make of RGBA photos in ``work/photos/`` what COLMAP takes: RGB there, on black, and masks in ``work/alphas/``.

    A mask is black where no details are looked for.
    """
    (work / ALPHAS).mkdir()
    for name in names:
        with Image.open(work / "photos" / name) as photo:
            photo.load()
            exif = photo.getexif()
        photo.getchannel("A").save(work / ALPHAS / name)
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
