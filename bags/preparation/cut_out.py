"""Photos with transparent or masked parts: these have no features, and stay hidden."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from bags.io.masks import FOLDER, black_or_white, mask_name, read_mask

IMAGES = "images"  # COLMAP's name for the folder of photos
ALPHAS, MASKS = "alphas", "masks"  # folders of a preparation, beside its ``photos``
COVERS = "covers"  # likewise: the masks that came with the photos, under the photos' names


def has_alpha(photo: Image.Image) -> bool:
    """Whether any of it is transparent."""
    return photo.mode == "RGBA" and photo.getchannel("A").getextrema()[0] != 255


def on_black(photo: Image.Image) -> Image.Image:
    """``photo`` as RGB, composited on black."""
    if photo.mode != "RGBA":
        return photo.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", photo.size, (0, 0, 0, 255)), photo).convert("RGB")


def without_hidden(photo: Image.Image) -> Image.Image:
    """An RGBA photo with black in fully transparent pixels, so that removed content cannot be recovered."""
    pixels = np.array(photo)
    pixels[pixels[..., 3] == 0] = 0
    return Image.fromarray(pixels)


def take_apart(work: Path, names: Iterable[str]) -> None:
    """Convert the photos in ``work/photos/`` to what COLMAP reads: RGB, composited on black.

    Their alpha channels go to ``work/alphas/``, under the photo's name. Every photo gets a mask in ``work/masks/``;
    where it is black, no features are extracted.

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
    """Copy the masks of the photos, from their folder ``masks/``, to ``work/covers/``, under the photos' names.

    Args:
        source: the folder of photos: ``masks/`` is in it, or beside it if it is called ``images``.
        work: folder of the preparation; its ``photos/`` are upright, and the masks must be too.
        photos: name in ``work/photos/``, and path below ``source``, of each.

    Returns:
        Whether there is at least one mask.

    Raises:
        DataError: a mask is not an image, has not its photo's size, or hides all of it.
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
    """Write the undistorted masks in the folder ``flat`` to ``masks/`` of the scene, under COLMAP's names for masks."""
    (scene / FOLDER).mkdir()
    for path in flat.iterdir():
        with Image.open(path) as cover:
            black_or_white(cover).save(scene / FOLDER / mask_name(path.name))


def put_together(photos: Path, alphas: Path) -> None:
    """Restore the alpha channels of photos; both are undistorted.

    Args:
        photos: folder of RGB photos on black; those with a file of the same name in ``alphas`` become RGBA.
        alphas: folder of alpha channels, as grey or RGB images.
    """
    for path in alphas.iterdir():
        with Image.open(photos / path.name) as photo, Image.open(path) as grey:
            colours, alpha = np.asarray(photo.convert("RGB"), dtype=np.float32), np.asarray(grey.convert("L"))
        # Composited on black, a pixel is its colour times its opacity.
        colours = np.divide(colours, alpha[..., None] / 255, out=np.zeros_like(colours), where=alpha[..., None] > 0)
        pixels = np.dstack([colours.round().clip(0, 255).astype(np.uint8), alpha])
        Image.fromarray(pixels).save(photos / path.name)
