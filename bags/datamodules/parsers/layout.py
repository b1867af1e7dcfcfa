"""Finds a COLMAP model and its photos, in the folders of COLMAP and of other tools."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bags.datamodules.parsers.colmap_files import count_photos, is_model
from bags.datamodules.parsers.photos import MissingPhoto, PhotoFolder
from bags.errors import DataError
from bags.settings import DatasetSettings

log = logging.getLogger(__name__)

DEEPEST = 4  # levels below dataset.root that are searched: colmap/dense/0/sparse
PHOTOS = ("images", "input", "photos", "rgb")  # usual names of folders of photos; the first is the default
LOOKED_AT = 50  # photos that are looked up in every folder
# Files of other programs, and what to do with them.
OTHERS = {
    "transforms_train.json": "a Blender scene: add dataset=blender",
    "transforms.json": "nerfstudio's or instant-ngp's format: add dataset=nerfstudio",
    "metadata.json": "if it is a multi-scale Blender scene: add dataset=multiscale_blender",
    "database.db": "COLMAP's features and matches only: run its mapper, too",
    "*.nvm": "VisualSFM's format: export the cameras as COLMAP's",
    "bundle*.out": "Bundler's format: export the cameras as COLMAP's",
    "sfm_data*.json": "OpenMVG's format: convert it with openMVG_main_openMVG2Colmap",
    "reconstruction.json": "OpenSfM's format: convert it with its export_colmap",
    "*.sfm": "Meshroom's format: export the cameras as COLMAP's",
    "*.psx": "a Metashape project: export the cameras as COLMAP's",
    "*.rsproj": "a RealityScan project: export the registration as COLMAP's",
    "*.rcproj": "a RealityCapture project: export the registration as COLMAP's",
}


def model_folder(root: Path, settings: DatasetSettings) -> Path:
    """The folder of the model: ``dataset.sparse``, or one in ``sparse/``, or one anywhere else below ``root``.

    COLMAP writes several models, ``sparse/0``, ``sparse/1``, ..., if photos are not connected. The one with the most
    photos is used.

    Raises:
        DataError: there is none; says what there is instead.
    """
    if settings.sparse is not None:
        folder = root / settings.sparse
        if not is_model(folder):
            raise DataError(f"{folder}: no COLMAP model; set dataset.sparse to its folder below dataset.root")
        return folder
    usual = _below(root, "sparse")
    places = [usual] if usual else []
    for place in (*places, root):
        if models := [(count_photos(folder), folder) for folder in _models(place)]:
            models.sort(key=lambda item: (-item[0], _order(item[1].relative_to(root))))
            _tell(root, models)
            return models[0][1]
    raise DataError(f"{root}: no COLMAP model in sparse/0/, sparse/ or any folder below; {_instead(root)}")


def photo_folder(root: Path, model: Path, names: Sequence[str], settings: DatasetSettings) -> PhotoFolder:
    """The folder of the photos ``names``: ``dataset.images``, beside the model or above it, up to ``root``.

    If ``dataset.images`` has its default value, other usual names and the folders themselves are tried as well.

    Raises:
        DataError: there is none.
    """
    above = [model, *(parent for parent in model.parents if root in (parent, *parent.parents))]
    usual: tuple[str, ...] = PHOTOS if settings.images == PHOTOS[0] else (settings.images,)
    if "distorted" in model.relative_to(root).parts and len(usual) > 1:
        usual = "input", *usual  # layout of 3DGS's convert.py: images/ has the undistorted photos
    folders = [PhotoFolder(found) for name in usual for place in above if (found := _below(place, name))]
    if usual != (settings.images,):
        folders += [PhotoFolder(place) for place in above]
    counts = [_count_found(folder, names) for folder in folders]
    if any(counts):
        return folders[counts.index(max(counts))]
    if (root / settings.images).is_dir():
        return PhotoFolder(root / settings.images)
    raise DataError(f"{root / settings.images}: no such folder of photos; {_photos_instead(root)}")


def _count_found(folder: PhotoFolder, names: Sequence[str]) -> int:
    found = 0
    for name in names[:: -(-len(names) // LOOKED_AT) or 1]:
        try:
            folder.find(name, "", "")
            found += 1
        except MissingPhoto:
            continue
        except DataError:  # an invalid name is reported later, when the photo is read
            return 0
    return found


def _models(place: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """Folders of models below ``place``, including itself."""
    if is_model(place):
        yield place
    if depth:
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _models(Path(entry.path), depth - 1)


def _order(place: Path) -> tuple[object, ...]:
    """Sort key: deeper folders first (``sparse/0`` before ``sparse``), numbers by value and before names."""
    parts = [(0, int(p), "") if re.fullmatch(r"\d{1,9}", p, re.ASCII) else (1, 0, p) for p in place.parts]
    return -len(parts), *parts


def _below(folder: Path, name: str) -> Path | None:
    """The folder ``name`` below another, with the same letter case or, if there is none, with another."""
    if (folder / name).is_dir():
        return folder / name
    alike = [path for path in folder.iterdir() if path.name.casefold() == name.casefold() and path.is_dir()]
    return alike[0] if len(alike) == 1 else None


def _tell(root: Path, models: Sequence[tuple[int, Path]]) -> None:
    (most, best), *others = models
    place = best.relative_to(root).as_posix()
    if others:
        there = ", ".join(f"{path.relative_to(root).as_posix()} ({count:,} photos)" for count, path in others[:5])
        log.warning(
            "the model in %s is used (%s photos); there is also %s: dataset.sparse=... selects it", place, most, there
        )
    elif place != "sparse/0":
        log.info("the COLMAP model is %s", place if place != "." else "in dataset.root itself")


def _photos_instead(root: Path) -> str:
    for above in root.parents[:2]:
        if (above / PHOTOS[0]).is_dir():
            return f"{above / PHOTOS[0]} is one: set dataset.root={above}"
    beside = [path.name for path in sorted(root.iterdir()) if path.is_dir() and PhotoFolder(path).pictures(path)]
    there = f" (there are photos in {', '.join(beside[:5])})" if beside else ""
    resized = any(re.fullmatch(r".*_\d+", name) for name in beside)
    reduced = "; for a folder of reduced photos also set dataset.factor=1" if resized else ""
    return f"set dataset.images to its name below dataset.root{there}{reduced}"


def _instead(root: Path) -> str:
    if is_model(root.parent / "sparse" / "0") or is_model(root.parent / "sparse"):
        return f"there is one beside it: set dataset.root={root.parent}"
    for pattern, what in OTHERS.items():
        if found := sorted(root.glob(pattern)):
            return f"{found[0].name} is {what}"
    return f"run COLMAP on the photos first, or let this program do it: python run.py task=reconstruct source={root}"
