"""Taking photos in: found, opened, set upright, copied under safe names; what cannot be used is told why."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Rational
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base

from bags.errors import DataError, to_install
from bags.io.atomic import replacing
from bags.io.images import IMAGE_SUFFIXES, opened, read_image
from bags.preparation.sharpness import sharpness

HEIC_SUFFIXES = (".heic", ".heif")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".mpg", ".mpeg", ".3gp")
RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
SMALLEST = 64  # pixels of the shorter side
LONGEST = 50  # characters of a photo's name; four bytes each at most
JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}

Report = Callable[[str, int, int], None]
"""Told how far things are: what is being done, how many of them are done, how many there are."""


@dataclass(frozen=True)
class Photo:
    """A photo that was taken in.

    Attributes:
        name: of its upright copy.
        source: its file below the folder it came from, or the frame of a video.
        width, height: in pixels, upright.
        camera: what tells one camera from another: photos of one size, device and focal length share theirs.
        sharpness: see ``bags.preparation.sharpness``.
    """

    name: str
    source: str
    width: int
    height: int
    camera: str
    sharpness: float


@dataclass(frozen=True)
class Dropped:
    """A file that is not used, and why, in words."""

    source: str
    reason: str


def take_in(source: Path, into: Path, report: Report) -> tuple[list[Photo], list[Dropped]]:
    """Copy every usable photo below ``source`` to the folder ``into``, upright; the EXIF data goes along.

    JPEGs that stand upright already are copied as they are; others are encoded again (JPEG quality 95, or PNG where the
    original has no loss either).

    Args:
        source: a folder; hidden files are not seen.
        into: an empty folder.
        report: told of every file.

    Raises:
        DataError: the folder holds no file.
    """
    _register_heif()
    files = sorted(path for path in source.rglob("*") if path.is_file() and not _hidden(path.relative_to(source)))
    if not files:
        raise DataError(f"{source}: an empty folder; put the photos there, or say source=<another folder or a video>")
    photos: list[Photo] = []
    dropped: list[Dropped] = []
    stems: set[str] = set()
    for done, path in enumerate(files):
        report("reading photos", done, len(files))
        relative = path.relative_to(source)
        reason = _refused(path)
        if reason is None:
            try:
                photos.append(_take(path, relative, into, stems))
            except (DataError, OSError) as error:
                reason = str(error).removeprefix(f"{path}: ")
        if reason is not None:
            dropped.append(Dropped(str(relative), reason))
    report("reading photos", len(files), len(files))
    return photos, dropped


def safe_name(name: str, suffix: str, stems: set[str]) -> str:
    """``name`` of letters, digits, ``.``, ``-`` and ``_`` only, unlike all of ``stems``, to which its stem is added.

    It keeps at most ``LONGEST`` characters: file systems have their limits, and pictures of the photo longer names.
    """
    stem = plain = re.sub(r"[^\w.-]+", "_", name).strip(".")[:LONGEST] or "photo"
    number = 1
    while stem in stems:
        number += 1
        stem = f"{plain}_{number}"
    stems.add(stem)
    return stem + suffix


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _register_heif() -> None:
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


def _refused(path: Path) -> str | None:
    """Why a file is not even opened."""
    suffix = path.suffix.lower()
    if suffix in HEIC_SUFFIXES and suffix not in Image.registered_extensions():
        return f"HEIC photos need {to_install('heic')}"
    if suffix in RAW_SUFFIXES:
        return "raw photos are not read: develop them to JPEG first"
    if suffix in VIDEO_SUFFIXES:
        return "a video: give it alone, as source=<the file>"
    return None if suffix in IMAGE_SUFFIXES + HEIC_SUFFIXES else "not a photo"


def _take(path: Path, relative: Path, into: Path, stems: set[str]) -> Photo:
    photo = read_image(path)
    exif = _exif(photo)
    turned = exif.get(Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(photo) if turned else photo
    if min(upright.size) < SMALLEST:
        raise DataError(f"{upright.width} x {upright.height} pixels; at least {SMALLEST} are needed")
    with opened(path) as header:
        kind, mode = header.format, header.mode
    lossy = kind in ("JPEG", "MPO", "HEIF")
    name = safe_name("_".join(relative.with_suffix("").parts), ".jpg" if lossy else ".png", stems)
    taken = Photo(name, str(relative), upright.width, upright.height, _camera(upright, exif), sharpness(upright))
    plain = kind in ("JPEG", "MPO") and mode == "RGB" and not turned
    with replacing(into / name) as temporary:
        if plain and path.stat().st_size <= 3 * photo.width * photo.height:  # else something else hangs on to the photo
            shutil.copyfile(path, temporary)
        else:
            exif.pop(Base.Orientation, None)
            upright.convert("RGB").save(temporary, exif=exif, **(JPEG if lossy else {}))
    return taken


def _exif(photo: Image.Image) -> Image.Exif:
    """The photo's EXIF data; none where they are damaged."""
    try:
        exif = photo.getexif()
        exif.get_ifd(IFD.Exif)
        exif.tobytes()  # can they be written again?
    except Exception:  # whatever the decoder stumbles over
        return Image.Exif()
    return exif


def _camera(photo: Image.Image, exif: Image.Exif) -> str:
    """What photos of one camera at one zoom share; focal lengths count to two digits, as autofocus moves them."""
    lens = exif.get_ifd(IFD.Exif)
    focal = [lens.get(tag) for tag in (Base.FocalLength, Base.FocalLengthIn35mmFilm)]
    zoom = [f"{float(value):.2g} mm" for value in focal if isinstance(value, (int, float, Rational)) and value]
    device = [str(exif[tag]).strip("\0 ") for tag in (Base.Make, Base.Model) if tag in exif]
    return ", ".join([*device, *zoom[:1], f"{photo.width} x {photo.height}"])
