"""Contact sheets that summarise a run's training views, from the pictures of ``describe_training_views``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from bags.evaluation.pictures import PICTURES
from bags.evaluation.views import stem
from bags.io.images import from_picture, read_image, tile, write_png
from bags.types import View

OVERVIEW_ROWS, OVERVIEW_WIDTH = 4, 800  # views, and pixels of a picture
COMPARED_ROWS, COMPARED_WIDTH = 3, 1600  # views, and pixels of the whole sheet, of before and after
MOST_ENLARGED = 4  # screen pixels per pixel of a small photo: enough to see it
KERNELS_WIDTH = 4000  # pixels of the whole sheet of kernels
MARK = np.array([255.0, 120.0, 0.0])  # colour of masks and kernels, bright on a darkened photo
COVER = 0.8  # largest opacity of that colour


def write_sheets(folder: Path, described: Sequence[Mapping[str, Any]], views: Sequence[View]) -> None:
    """Write ``overview.png``, ``before_after.png`` and ``kernels.png``; nothing if the model describes no blur.

    Args:
        folder: of the run, with the pictures below ``train_views/``.
        described: ``train_views`` of its metrics.
        views: its training views.
    """
    if not any("spread" in entry for entry in described):
        return
    pictures, blurred = folder / "train_views", sorted(described, key=lambda entry: -entry["spread"])
    write_png(folder / "overview.png", overview(pictures, blurred[:OVERVIEW_ROWS]))
    write_png(folder / "before_after.png", before_after(pictures, of_each_kind(blurred), views))
    write_png(folder / "kernels.png", kernel_contact_sheet(pictures, described))


def overview(pictures: Path, shown: Sequence[Mapping[str, Any]]) -> Tensor:
    """(3, h, w) in [0, 1]: one view per row, with all its pictures; large ones are shrunk."""
    masked = any(entry["mask"] is not None for entry in shown)
    kinds = [kind for kind in PICTURES if masked or kind != "mask"]
    images, labels = [], []
    for entry in shown:
        for kind in kinds:
            images.append(_shrunk(read_image(pictures / kind / _file(entry)), OVERVIEW_WIDTH))
            labels.append(f"{kind} {entry['name']}" if kind == PICTURES[0] else kind)
    return tile(images, columns=len(kinds), labels=labels)


def of_each_kind(blurred: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first view of every kind of blur, at most ``COMPARED_ROWS``; if none is blurred, the first of all."""
    first: dict[str, Mapping[str, Any]] = {}
    for entry in blurred:
        first.setdefault(entry["kind"], entry)
    found = [entry for kind, entry in first.items() if kind != "sharp"]
    return found[:COMPARED_ROWS] or list(blurred[:1])


def before_after(pictures: Path, shown: Sequence[Mapping[str, Any]], views: Sequence[View]) -> Tensor:
    """(3, h, w) in [0, 1]: one view per row, photo beside sharp render and, if known for all, the sharp truth.

    The pictures are as large as fits. Small ones are enlarged, at most ``MOST_ENLARGED`` times.
    """
    truths = {view.name: view.sharp for view in views}
    known = all(truths[entry["name"]] for entry in shown)
    columns = 3 if known else 2
    side = COMPARED_WIDTH // columns
    images: list[Tensor] = []
    labels: list[str] = []
    for entry in shown:
        photo, render = (read_image(pictures / kind / _file(entry)) for kind in ("photo", "sharp"))
        row = {f"photo ({entry['kind'].replace('_', ' ')})": photo, "sharp render": render}
        if known and (truth := truths[entry["name"]]):
            row["truth"] = truth().resize(photo.size, Image.Resampling.BICUBIC)
        images += [_fitted(picture, side) for picture in row.values()]
        labels += row
    return tile(images, columns, labels=labels)


def kernel_contact_sheet(pictures: Path, shown: Sequence[Mapping[str, Any]]) -> Tensor:
    """(3, h, w) in [0, 1]: every view's photo with its kernels drawn over it; smaller if there are many."""
    columns = math.ceil(math.sqrt(len(shown)))
    side = min(OVERVIEW_WIDTH, KERNELS_WIDTH // columns)
    images = [_shrunk(marked(pictures / "kernels", _file(entry)), side) for entry in shown]
    return tile(images, columns, labels=[entry["name"] for entry in shown])


def marked(folder: Path, name: str) -> Image.Image:
    """The grey picture ``folder / name`` drawn in colour over the darkened photo of the view.

    The photo is ``../photo/<name>``; the picture is resized to it.
    """
    photo = read_image(folder.parent / "photo" / name).convert("L")
    strength = read_image(folder / name).convert("L").resize(photo.size, Image.Resampling.BILINEAR)
    share = np.asarray(strength, dtype=np.float64)[..., None] / 255 * COVER
    grey = 0.5 * np.asarray(photo, dtype=np.float64)[..., None]
    return Image.fromarray(np.round((1 - share) * grey + share * MARK).astype(np.uint8))


def _file(entry: Mapping[str, Any]) -> str:
    return f"{stem(entry['name'])}.png"


def _fitted(picture: Image.Image, side: int) -> Tensor:
    """A picture as ``_shrunk``; a small one is enlarged by a whole factor, so that its pixels become equal squares."""
    factor = max(1, min(MOST_ENLARGED, side // max(picture.size)))
    enlarged = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)
    return _shrunk(enlarged, side)


def _shrunk(picture: Image.Image, side: int) -> Tensor:
    """A picture of at most ``side`` pixels along the longer side, as (3, h, w) in [0, 1]."""
    picture.thumbnail((side, side))
    return from_picture(picture)
