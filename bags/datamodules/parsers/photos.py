"""Finding the photos that a data set names."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from bags.datamodules.resolution import DIVISORS, training_size
from bags.errors import DataError, shown
from bags.io import places
from bags.io.images import IMAGE_SUFFIXES, image_size, read_image
from bags.settings import DatasetSettings
from bags.types import View

log = logging.getLogger(__name__)

FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")  # in names: control and half characters, backslashes
LONGEST = 200  # bytes of a view's name; its pictures are called so, with a little more


def scene_folder(settings: DatasetSettings) -> Path:
    """``dataset.root``, if it is a folder.

    Raises:
        DataError: it is not.
    """
    return places.scene_folder(settings.root)


def find_photo(folder: Path, name: str, source: str, remedy: str) -> Path:
    """The file of photo ``name`` below ``folder``.

    Another extension will do, as ``images_4/`` often holds PNGs of JPEGs.

    Args:
        folder: of the photos.
        name: as the data set has it, with ``/`` between folders.
        source: who names it, for messages.
        remedy: what to do where it is missing.

    Raises:
        DataError: the name leads outside ``folder`` or holds control characters or backslashes; there is no such file,
            or several.
    """
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.name:
        raise DataError(f"{folder}: {source} names a photo {shown(name)}, outside the folder of photos; refused")
    if FORBIDDEN.search(name):
        raise DataError(f"{folder}: {source} names a photo {shown(name)}: no file should be called so; refused")
    path = folder / relative
    try:
        if path.is_file():
            return path
        stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
        others = sorted(p for p in path.parent.glob("*") if p.stem == stem and p.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise DataError(f"{folder}: {source} names a photo {shown(name)}: {error.strerror}; rename it") from error
    if len(others) == 1:
        return others[0]
    found = f"but {' and '.join(p.name for p in others)}: remove one" if others else remedy
    raise DataError(f"{path}: no such photo, {found}")


def check_names(views: Sequence[View], where: Path) -> None:
    """See that a view's pictures can be called as its photo: all names differ not only in extension, and are not long.

    Raises:
        DataError: names those that do not, or are.
    """
    if long := [view.name for view in views if len(view.name.encode()) > LONGEST]:
        raise DataError(f"{where}: photo {shown(long[0])} has a name of more than {LONGEST} bytes; rename it")
    stems = Counter(PurePosixPath(view.name).stem for view in views)
    twice = sorted({view.name for view in views if stems[PurePosixPath(view.name).stem] > 1})
    if twice:
        names = ", ".join(twice[:5])
        raise DataError(f"{where}: more than one photo named {names} (extensions do not count); rename them")


def reduced(views: tuple[View, ...], names: Sequence[str], folder: Path, factor: int) -> tuple[View, ...]:
    """``views`` that read their photos from ``<folder>_<factor>/``, where that holds all of them at training size.

    Cameras stay those of the full photos. Coarser scales are then resized from the reduced photos.

    Args:
        views: with photos in ``folder``.
        names: of their files below ``folder``.
        folder: of the full photos.
        factor: ``dataset.factor``.

    Raises:
        DataError: a photo of the reduced folder is none.
    """
    other = folder.with_name(f"{folder.name}_{factor}")
    if factor == 1 or factor not in DIVISORS or not other.is_dir():
        return views
    found = []
    for view, name in zip(views, names, strict=True):
        try:
            path = find_photo(other, name, folder.name, "so the full photos are used")
        except DataError as error:
            log.warning("%s is not used: %s", other, error)
            return views
        size = training_size(view.camera.width, view.camera.height, factor)
        if image_size(path) != size:
            there, wanted = (f"{width} x {height}" for width, height in (image_size(path), size))
            log.warning("%s is not used: %s is %s, factor %d needs %s", other, path.name, there, factor, wanted)
            return views
        found.append(replace(view, load=partial(read_image, path)))
    log.info("photos are taken from %s, which holds them at training resolution", other)
    return tuple(found)
