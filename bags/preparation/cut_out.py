"""Photos of which not all counts: what is transparent or masked has no details, and stays away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from bags.io.masks import FOLDER, black_or_white, mask_name, read_mask

IMAGES = "images"  # what COLMAP calls the folder of photos
ALPHAS, MASKS = "alphas", "masks"  # folders of a preparation, beside its ``photos``
COVERS = "covers"  # likewise: masks that came with the photos, under the photos' names


def has_alpha(photo: Image.Image) -> bool:
    """Is any of it transparent?"""
    return photo.mode == "RGBA" and photo.getchannel("A").getextrema()[0] != 255


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
        cover = work / COVERS / name
        mask = work / MASKS / mask_name(name)
        with Image.open(work / "photos" / name) as photo:
            if photo.mode != "RGBA":
                seen = Image.open(cover) if cover.is_file() else Image.new("L", photo.size, 255)
                black_or_white(seen).save(mask)
                continue
            photo.load()
            exif = photo.getexif()
        alpha = photo.getchannel("A")
        alpha.save(work / ALPHAS / name)
        if cover.is_file():
            alpha = ImageChops.darker(alpha, Image.open(cover).convert("L"))
        alpha.save(mask)
        on_black(photo).save(work / "photos" / name, exif=exif)


def take_covers(source: Path, work: Path, photos: Iterable[tuple[str, str]]) -> bool:
    """Copy the masks that lie beside the photos, in ``masks/``, to ``work/covers/``, under the photos' names.

    Args:
        source: the folder of photos: ``masks/`` is below it, or beside it where it is called ``images``.
        work: folder of the preparation; its ``photos/`` are upright, and so have to be the masks.
        photos: name in ``work/photos/``, and path below ``source``, of each.

    Returns:
        Is there one?

    Raises:
        DataError: a mask is no picture, not of its photo's size, or hides all of it.
    """
    (work / COVERS).mkdir()
    for name, path in photos:
        inner = path.removeprefix(f"{IMAGES}/")
        places = [source / FOLDER / inner, source / FOLDER / path]
        places += [source.parent / FOLDER / path] if source.name == IMAGES else []
        found = next((place for place in map(Path, map(mask_name, map(str, places))) if place.is_file()), None)
        if found is not None:
            read_mask(found, work / "photos" / name).save(work / COVERS / name, quality=100)
    return any((work / COVERS).iterdir())


def put_beside(scene: Path, flat: Path) -> None:
    """Write the undistorted masks of the folder ``flat`` to ``masks/`` of the scene, as COLMAP calls them."""
    (scene / FOLDER).mkdir()
    for path in flat.iterdir():
        with Image.open(path) as cover:
            black_or_white(cover).save(scene / FOLDER / mask_name(path.name))


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
