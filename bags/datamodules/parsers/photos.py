"""Finds the photos that a data set names."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

from bags.datamodules.resolution import DIVISORS, training_size
from bags.errors import DataError, shown
from bags.io import places
from bags.io.images import IMAGE_SUFFIXES, image_size, read_image
from bags.settings import DatasetSettings
from bags.types import View

log = logging.getLogger(__name__)

FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # in names: control characters and surrogates
LONGEST = 200  # bytes of a view's name; its output files have slightly longer names
ROUNDING = 1  # pixels by which a reduced photo's sides may differ from the training size: tools round differently


class MissingPhoto(DataError):
    """A photo that a data set names but its folder lacks; ``name`` is the name its view would have."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Photo:
    """A photo's file.

    Attributes:
        place: path below the folder of photos, with ``/``, as given by the data set.
        path: of the file.
    """

    place: str
    path: Path

    @property
    def name(self) -> str:
        """Name of its view."""
        return self.place.replace("/", "_")


def scene_folder(settings: DatasetSettings) -> Path:
    """``dataset.root``, if it is a folder.

    Raises:
        DataError: it is not.
    """
    return places.scene_folder(settings.root)


def readable(name: str) -> str:
    """``name``, decoded as Windows-1252 if it is not valid UTF-8 and the result is printable: most such names are."""
    if not any("\udc80" <= letter <= "\udcff" for letter in name):
        return name
    try:
        read = os.fsencode(name).decode("cp1252")
    except UnicodeError:
        return name
    return read if read.isprintable() else name


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and file of a path of any system, without its beginning (``/``, a drive, ``./``, ``../``)."""
    path = PureWindowsPath(name)  # understands both slashes and drives
    parts = [part for part in path.parts if part != path.anchor]
    while parts and parts[0] == "..":
        del parts[0]
    return tuple(parts)


class PhotoFolder:
    """A folder of photos, in which names are looked up tolerantly.

    Paths may have either slash. Leading parts that lead out of the folder or name folders that do not exist in it are
    ignored (``images/a.jpg`` within ``images/``, ``/home/me/trip/a.jpg``). Another extension is accepted, because
    ``images_4/`` often has PNGs of JPEGs. So are another letter case and another Unicode normal form, if only one file
    matches.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: dict[Path, list[str]] = {}

    def find(self, name: str, source: str, remedy: str) -> Photo:
        """The photo ``name``.

        Args:
            name: as given by the data set.
            source: where the name comes from, for messages.
            remedy: what to do if it is missing.

        Raises:
            MissingPhoto: there is no such file.
            DataError: the name leads outside the folder or contains control characters, or several files match.
        """
        parts = parts_of(name)
        outside = PureWindowsPath(name).anchor or name.startswith("..")
        if ".." in parts or not parts:
            raise DataError(
                f"{self.path}: {source} names a photo {shown(name)}, outside the folder of photos; correct the name"
            )
        if FORBIDDEN.search(name):
            raise DataError(f"{self.path}: {source} names a photo {shown(name)}: not a safe file name; rename it")
        try:
            for first in range(len(parts)):
                place = parts[first:]
                if path := self._file(place):
                    return Photo("/".join(place), path)
                if not outside and (self.path / place[0]).is_dir():
                    break  # the right folder, but without the photo
        except OSError as error:
            raise DataError(
                f"{self.path}: {source} names a photo {shown(name)}: {error.strerror}; rename it"
            ) from error
        if outside:
            problem = f"{source} names a photo {shown(name)}, outside the folder of photos, and has none inside it"
            raise MissingPhoto("_".join(parts), f"{self.path}: {problem}; {remedy}")
        raise MissingPhoto("_".join(parts), f"{self.path / '/'.join(parts)}: no such photo; {remedy}")

    def _file(self, place: Sequence[str]) -> Path | None:
        folder = self.path
        for part in place[:-1]:
            alike = [name for name in self._listed(folder) if _key(name) == _key(part)]
            exact = part in alike
            if not exact and len(alike) != 1:
                return None
            folder = folder / (part if exact else alike[0])
        name = place[-1]
        if (folder / name).is_file():
            return folder / name
        stem = _stem(name)
        pictures = self.pictures(folder)
        others = [other for other in pictures if _stem(other) == stem]
        others = others or [other for other in pictures if _key(_stem(other)) == _key(stem)]
        if len(others) > 1:
            raise DataError(f"{folder / name}: no such photo, but {' and '.join(others)} are similar; keep one of them")
        return folder / others[0] if others else None

    def _listed(self, folder: Path) -> list[str]:
        if folder not in self._names:
            self._names[folder] = sorted(os.listdir(folder)) if folder.is_dir() else []
        return self._names[folder]

    def pictures(self, folder: Path) -> list[str]:
        """Names of the images in ``folder``."""
        return [name for name in self._listed(folder) if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]

    def unused(self, photos: Sequence[Photo]) -> list[str]:
        """Images in the same folders as ``photos`` that are not among them."""
        used = {photo.path for photo in photos}
        folders = sorted({path.parent for path in used})
        beside = (folder / name for folder in folders for name in self.pictures(folder))
        return [readable(path.relative_to(self.path).as_posix()) for path in beside if path not in used]


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", readable(name)).casefold()


def check_names(views: Sequence[View], photos: Sequence[Path], where: Path) -> None:
    """Check that views can be named after their photos: names differ in more than extension, and none is too long.

    Args:
        views: of the scene.
        photos: their files.
        where: the folder, for messages.

    Raises:
        DataError: lists the offending names; also if two views have the same file.
    """
    if several := [path for path, count in Counter(photos).items() if count > 1]:
        count = photos.count(several[0])
        raise DataError(f"{several[0]}: is the photo of {count} views; remove one of these, or restore its own photo")
    if long := [view.name for view in views if len(view.name.encode()) > LONGEST]:
        raise DataError(f"{where}: photo {shown(long[0])} has a name of more than {LONGEST} bytes; rename it")
    stems = Counter(PurePosixPath(view.name).stem for view in views)
    twice = sorted({view.name for view in views if stems[PurePosixPath(view.name).stem] > 1})
    if twice:
        names = ", ".join(twice[:5])
        raise DataError(f"{where}: more than one photo named {names} (extensions do not count); rename them")


def reduced(views: Sequence[View], photos: Sequence[Photo], folder: Path, factor: int) -> list[View]:
    """``views`` that read their photos from ``<folder>_<factor>/``, if that has all of them at training size.

    Cameras stay those of the full photos. Coarser scales are then resized from the reduced photos.

    Args:
        views: with photos in ``folder``, of undistorted lenses.
        photos: of these views.
        folder: of the full photos.
        factor: ``dataset.factor``.

    Raises:
        DataError: a photo of the reduced folder cannot be read.
    """
    other = folder.with_name(f"{folder.name}_{factor}")
    if factor == 1 or factor not in DIVISORS or not other.is_dir():
        return list(views)
    found, beside = [], PhotoFolder(other)
    for view, photo in zip(views, photos, strict=True):
        try:
            path = beside.find(photo.place, folder.name, "the full photos are used").path
        except DataError as error:
            log.warning("%s is not used: %s", other, error)
            return list(views)
        size, wanted = image_size(path), training_size(view.camera.width, view.camera.height, factor)
        if max(abs(a - b) for a, b in zip(size, wanted, strict=True)) > ROUNDING:
            there, needed = (f"{width} x {height}" for width, height in (size, wanted))
            log.warning("%s is not used: %s is %s, but factor %d needs %s", other, path.name, there, factor, needed)
            return list(views)
        found.append(replace(view, load=partial(read_image, path)))
    log.info("photos are read from %s, which has them at training resolution", other)
    return found
