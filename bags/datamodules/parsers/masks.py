"""Masks: which pixels of a photo are used (docs/datasets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from bags.datamodules.parsers.colmap_files import ColmapCamera
from bags.datamodules.parsers.lens import PhotoView, flattened
from bags.errors import DataError
from bags.io.images import IMAGE_SUFFIXES
from bags.io.masks import FOLDER, mask_name, read_mask


def with_masks(items: Sequence[PhotoView], images: Path) -> list[PhotoView]:
    """The views, each with its mask if the folder ``masks`` beside ``images`` has one: ``photo.jpg.png``.

    Raises:
        DataError: the folder contains images, but none of them is named after a photo.
    """
    folder = images.parent / FOLDER
    if not folder.is_dir():
        return list(items)
    found = []
    for item in items:
        path = folder / mask_name(item.photo.place)
        load = partial(_loaded, path, item.photo.path, item.bent) if path.is_file() else None
        found.append(replace(item, view=replace(item.view, mask=load)))
    there = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.rglob("*"))
    if items and there and not any(item.view.mask for item in found):
        wanted = mask_name(items[0].photo.place)
        raise DataError(f"{folder}: none of its {there} images is named after a photo: name them like {wanted}")
    return found


def _loaded(path: Path, photo: Path, bent: ColmapCamera | None) -> Image.Image:
    mask = read_mask(path, photo)
    return mask if bent is None else flattened(mask, bent, path)
