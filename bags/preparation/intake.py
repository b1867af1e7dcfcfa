"""Intake of photos: find, open, rotate upright, copy under safe names; unusable files get a reason."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Rational
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base

from bags.errors import DataError, in_utf8, to_install
from bags.io.atomic import replacing
from bags.io.images import IMAGE_SUFFIXES, opened, read_image
from bags.preparation import own
from bags.preparation.cut_out import has_alpha, on_black, without_hidden
from bags.preparation.sharpness import sharpness

HEIC_SUFFIXES = (".heic", ".heif")
OTHER_JPEGS = (".jfif", ".jpe", ".mpo")
PHOTO_SUFFIXES = (*IMAGE_SUFFIXES, *OTHER_JPEGS, *HEIC_SUFFIXES)
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp", ".wmv",
)  # fmt: skip
RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw",
    ".3fr", ".iiq", ".rwl", ".x3f",
)  # fmt: skip
OTHER_SUFFIXES = (".gif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".tga", ".exr", ".hdr")  # unsupported images
KNOWN_SUFFIXES = (*PHOTO_SUFFIXES, *VIDEO_SUFFIXES, *RAW_SUFFIXES, *OTHER_SUFFIXES)
SMALLEST = 64  # pixels of the shorter side
LONGEST = 50  # characters of a photo's name, each at most four bytes
JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}

Report = Callable[[str, int, int], None]
"""Called with the progress: what is being done, how many are done, how many there are."""


@dataclass(frozen=True)
class Photo:
    """A photo that was taken in.

    Attributes:
        name: of its upright copy.
        source: its path below the source folder, or the frame of a video.
        width, height: in pixels, upright.
        camera: identifies the camera: photos of the same size, device and focal length share one.
        sharpness: see ``bags.preparation.sharpness``.
        cut_out: whether it is partly transparent.
    """

    name: str
    source: str
    width: int
    height: int
    camera: str
    sharpness: float
    cut_out: bool = False


@dataclass(frozen=True)
class Dropped:
    """A file that is not used, and why.

    Attributes:
        source: its path below the source folder; with ``/`` at its end, a whole folder.
        reason: in words.
        photo: True for a photo or video that could have been used; False for copies, masks, texts and other files.
    """

    source: str
    reason: str
    photo: bool = True


def take_in(source: Path, into: Path, report: Report) -> tuple[list[Photo], list[Dropped]]:
    """Copy every usable photo below ``source`` to the folder ``into``, upright, with its EXIF data.

    JPEGs that are already upright are copied unchanged. Others are encoded again: as JPEG of quality 95, or as PNG if
    the original is lossless or partly transparent. Files that are not photos in their own right
    (``bags.preparation.own``) are left out.

    Args:
        source: a folder; of hidden files only images are reported.
        into: an empty folder.
        report: called for every file.

    Returns:
        Photos in natural order, and the files that are not used.

    Raises:
        DataError: the folder contains no file.
    """
    _register_heif()
    files = sorted((_below(source, path) for path in source.rglob("*") if path.is_file()), key=own.in_order)
    hidden = {path: "a hidden file" for path in files if _hidden(path)}
    files = [path for path in files if path not in hidden]
    if not files:
        raise DataError(f"{source}: an empty folder; put photos there, or set source=<another folder or a video>")
    left = {path: why for path, why in hidden.items() if path.suffix.lower() in PHOTO_SUFFIXES}
    left |= _not_own(files, source)
    photos: dict[PurePosixPath, Photo] = {}
    looks: list[own.Picture] = []
    unusable: list[Dropped] = []
    stems: set[str] = set()
    for done, path in enumerate(files):
        report("reading photos", done, len(files))
        if path in left:
            continue
        reason = _refused(path)
        if reason is None:
            try:
                photos[path], look = _take(source / path, path, into, stems)
                looks.append(look)
            except (DataError, OSError) as error:
                reason = str(error).removeprefix(f"{source / path}: ")
        if reason is not None:
            unusable.append(Dropped(in_utf8(str(path)), reason))
    copies = own.same_files(photos, source)
    copies |= own.same_shots([look for look in looks if look.path not in copies])
    for path in copies:
        (into / photos.pop(path).name).unlink()
    left |= copies
    report("reading photos", len(files), len(files))
    others = own.by_folder(left, [*photos, *(path for path in files if path not in left)])
    dropped = unusable + [Dropped(in_utf8(name), in_utf8(why), photo=False) for name, why in others.items()]
    return list(photos.values()), sorted(dropped, key=lambda item: own.in_order(PurePosixPath(item.source)))


def _below(source: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(*path.relative_to(source).parts)


def _not_own(files: Sequence[PurePosixPath], source: Path) -> dict[PurePosixPath, str]:
    """Files that are not photos in their own right, and what they are, without opening them as images."""
    left = own.by_place(files, source)
    left |= {p: "not a photo" for p in files if p not in left and p.suffix.lower() not in KNOWN_SUFFIXES}
    pictures = [path for path in files if path not in left and path.suffix.lower() in PHOTO_SUFFIXES]
    left |= own.companions(pictures)
    shots = {path.with_suffix("") for path in pictures}
    for path in files:
        if path.suffix.lower() in RAW_SUFFIXES and path not in left and path.with_suffix("") in shots:
            left[path] = "a raw file whose developed photo is in the same folder"
    return left


def safe_name(name: str, suffix: str, stems: set[str]) -> str:
    """``name`` with only letters, digits, ``.``, ``-`` and ``_``, different from all ``stems``, to which it is added.

    At most ``LONGEST`` characters are kept, because file systems have limits and output files have longer names than
    their photo. Names differ in more than case, because some file systems ignore it.
    """
    stem = plain = re.sub(r"[^\w.-]+", "_", name).strip(".")[:LONGEST] or "photo"
    number = 1
    while stem.casefold() in stems:
        number += 1
        stem = f"{plain}_{number}"
    stems.add(stem.casefold())
    return stem + suffix


def _hidden(relative: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _register_heif() -> None:
    with contextlib.suppress(ImportError):
        from pi_heif import register_heif_opener

        register_heif_opener()


def _refused(path: PurePosixPath) -> str | None:
    """Why a photo or a video is rejected without opening it; None: it is not."""
    suffix = path.suffix.lower()
    if suffix in HEIC_SUFFIXES and suffix not in Image.registered_extensions():
        return f"HEIC photos need {to_install('heic')}"
    if suffix in RAW_SUFFIXES:
        return "raw photos are not read: develop them to JPEG first"
    if suffix in VIDEO_SUFFIXES:
        return "a video: pass it alone, as source=<the file>"
    return "this format is not supported: save it as JPEG or PNG" if suffix in OTHER_SUFFIXES else None


def _take(path: Path, relative: PurePosixPath, into: Path, stems: set[str]) -> tuple[Photo, own.Picture]:
    photo = read_image(path)
    exif = _exif(photo)
    turned = exif.get(Base.Orientation, 1) != 1
    upright = square_pixels(photo)
    upright = ImageOps.exif_transpose(upright) if turned else upright
    if min(upright.size) < SMALLEST:
        raise DataError(f"{upright.width} x {upright.height} pixels; at least {SMALLEST} are needed")
    with opened(path) as header:
        kind, mode = header.format, header.mode
    cut_out = has_alpha(upright)
    if cut_out and not upright.getchannel("A").getbbox():
        raise DataError("the photo is fully transparent")
    lossy = kind in ("JPEG", "MPO", "HEIF") and not cut_out
    name = safe_name("_".join(relative.with_suffix("").parts), ".jpg" if lossy else ".png", stems)
    seen = on_black(upright)  # the colours of transparent pixels must not count
    shape = f"{upright.width} x {upright.height}"
    taken = Photo(name, in_utf8(str(relative)), *upright.size, _camera(shape, exif), sharpness(seen), cut_out)
    plain = kind in ("JPEG", "MPO") and mode == "RGB" and not turned and upright.size == photo.size
    with replacing(into / name) as temporary:
        if plain and path.stat().st_size <= 3 * photo.width * photo.height:  # else other data is attached to the photo
            shutil.copyfile(path, temporary)
        else:
            exif.pop(Base.Orientation, None)
            copy = without_hidden(upright) if cut_out else upright.convert("RGB")
            copy.save(temporary, exif=exif, **(JPEG if lossy else {}))
    return taken, own.picture(relative, seen)


def square_pixels(photo: Image.Image) -> Image.Image:
    """``photo`` with square pixels, stretched if its file says that they are not square."""
    across, down = _density(photo)
    shape = down / across if min(across, down) > 0 else 1.0  # width of a pixel over its height
    if not 1.01 < max(shape, 1 / shape) < 3:  # square, or implausible for a camera
        return photo
    return stretched(photo, shape)


def stretched(photo: Image.Image, shape: float) -> Image.Image:
    """``photo`` stretched to square pixels, never shrunk; ``shape``: width of its pixels over their height."""
    width, height = photo.size
    size = (round(width * shape), height) if shape > 1 else (width, round(height / shape))
    other = photo.resize(size, Image.Resampling.BICUBIC)
    other.info = photo.info
    return other


def _density(photo: Image.Image) -> tuple[float, float]:
    """Horizontal and vertical pixel density that the file states."""
    said = next((photo.info[key] for key in ("aspect", "jfif_density", "dpi") if key in photo.info), (1, 1))
    try:
        across, down = (float(number) for number in said)
        return across, down
    except (TypeError, ValueError):
        return 1.0, 1.0


def _exif(photo: Image.Image) -> Image.Exif:
    """The photo's EXIF data; empty if they are damaged."""
    try:
        exif = photo.getexif()
        exif.get_ifd(IFD.Exif)
        exif.tobytes()  # fails if they cannot be written again
    except Exception:  # damaged data raise many kinds
        return Image.Exif()
    return exif


def _camera(shape: str, exif: Image.Exif) -> str:
    """Identifies camera, lens and zoom. Focal lengths are rounded to two digits, because autofocus changes them.

    Both focal lengths are used: digital zoom, or another lens of a phone, may change only one of them.
    """
    details = exif.get_ifd(IFD.Exif)
    focal = [details.get(tag) for tag in (Base.FocalLength, Base.FocalLengthIn35mmFilm)]
    numbers = [float(value) for value in focal if isinstance(value, (int, float, Rational)) and value]
    zoom = [f"{float(f'{number:.2g}'):g} mm" for number in numbers]
    words = [exif.get(Base.Make), exif.get(Base.Model), details.get(Base.LensModel)]
    device = [text for text in (str(word).strip("\0 ") for word in words if word is not None) if text]
    return ", ".join([*device, *zoom, shape])
