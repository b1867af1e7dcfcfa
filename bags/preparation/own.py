"""Files below a folder of photos that are not photos in their own right: copies, masks, thumbnails, tools' output."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Folder names, in lower case, and what their files are.
FOLDERS = {
    **dict.fromkeys(("mask", "masks", "segmentation", "segmentations"), "masks"),
    **dict.fromkeys(("depth", "depths", "depth_map", "depth_maps", "depthmaps", "depth_images"), "depth maps"),
    **dict.fromkeys(("normals", "normal_maps"), "normal maps"),
    **dict.fromkeys(("thumb", "thumbs", "thumbnail", "thumbnails", "@eadir", "#eadir", "previews"), "thumbnails"),
    **dict.fromkeys(
        ("trash", "#recycle", "@recycle", "$recycle.bin", "recycle.bin", "recycler", "lost+found", "lost.dir"),
        "thrown away",
    ),
    **dict.fromkeys(("__macosx",), "a Mac's notes on other files"),
    **dict.fromkeys(
        ("sparse", "dense", "undistorted", "meshroomcache", "opensfm", "odm_texturing",
         "odm_orthophoto", "odm_report", "odm_georeferencing", "renders", "train_views"),
        "another program's results",
    ),
}  # fmt: skip
# A folder with one of these was written by a program: 3D Gaussian splatting, nerfstudio or this one.
LEFT_BY_PROGRAMS = ("cfg_args", "metrics.json", "prepare.json", "nerfstudio_models", "checkpoints", "chkpnt")
# Part of the name of a file that belongs to a photo: IMG_1_mask.png, IMG_1.JPG.mask.png.
COMPANIONS = {
    **dict.fromkeys(("mask", "masks", "seg", "segmentation", "alpha", "matte"), "a mask"),
    **dict.fromkeys(("depth", "depthmap", "disparity"), "a depth map"),
    **dict.fromkeys(("normal", "normals"), "a normal map"),
}
COMPANION = re.compile(rf"^(?:({'|'.join(COMPANIONS)})[ _.-]+(.+)|(.+)[ _.-]+({'|'.join(COMPANIONS)}))$")
# What programs append to the name of a copy, or put before it.
COPY = re.compile(
    r"([ _-]+(copy|kopie|copie|copia|edited|small|thumb|thumbnail|resized|preview)( *\(?\d+\)?)?"
    r"|[ _-]+\d{2,5} ?x ?\d{2,5}|@\dx)+$"
)
BEFORE = re.compile(r"^(copy of |kopie von |copie de |copia de |copia di |thumb[_-]|tn[_-]|small[_-])+")
EDITED = re.compile(r"^img_e(\d+)$")  # an iPhone's name for an edited photo
LOOK = (32, 32)  # pixels of the thumbnails by which two photos are compared
ALIKE = 0.97  # smallest correlation of two photos with related names that are the same shot


@dataclass(frozen=True)
class Picture:
    """What identifies a picture: its file, size in pixels, and thumbnail (``LOOK``, zero mean, norm 1)."""

    path: PurePosixPath
    size: tuple[int, int]
    look: NDArray[np.float32]


def in_order(path: PurePosixPath) -> tuple[object, ...]:
    """Key for natural order: ``img2`` before ``img10``, ignoring case."""
    parts = [re.split(r"(\d+)", part.casefold()) for part in path.parts]
    return (*([int(text) if i % 2 else text for i, text in enumerate(part)] for part in parts), str(path))


def by_place(files: Iterable[PurePosixPath], source: Path) -> dict[PurePosixPath, str]:
    """Files in folders of masks, thumbnails, other programs' results and the like, each with what it is.

    Args:
        files: below ``source``. Its own name does not matter: a folder ``masks`` that the user names is used.
        source: the folder.
    """

    @cache
    def kind(folder: PurePosixPath) -> str | None:
        if folder == PurePosixPath("."):
            return None
        if any((source / folder / name).exists() for name in LEFT_BY_PROGRAMS):
            return "another program's results"
        return FOLDERS.get(folder.name.casefold()) or kind(folder.parent)

    found = ((path, kind(path.parent)) for path in files)
    return {path: what for path, what in found if what is not None}


def companions(files: Sequence[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Files that by their name belong to another, ``IMG_1.JPG.png`` or ``IMG_1_mask.png``, each with what it is."""
    names = {path.name.casefold(): path for path in files}
    stems = {path.stem.casefold(): path for path in files}
    found = {}
    for path in files:
        stem = path.stem.casefold()
        match = COMPANION.match(stem)
        if stem in names:
            found[path] = f"belongs to {names[stem]}: a mask or an image made of it"
        elif match:
            of, what = (match[2], match[1]) if match[1] else (match[3], match[4])
            photo = stems.get(of) or names.get(of)
            if photo is not None:
                found[path] = f"belongs to {photo}: {COMPANIONS[what]}"
    return found


def same_files(files: Iterable[PurePosixPath], source: Path) -> dict[PurePosixPath, str]:
    """Files below ``source`` that are identical to another of them, each with that other one.

    Unreadable files do not count as copies.
    """
    sizes: dict[int, list[PurePosixPath]] = defaultdict(list)
    for path in files:
        with suppress(OSError):
            sizes[(source / path).stat().st_size].append(path)
    first: dict[str, PurePosixPath] = {}
    found = {}
    for path in (path for group in sizes.values() if len(group) > 1 for path in sorted(group, key=_plainest)):
        with suppress(OSError):
            digest = hashlib.sha256((source / path).read_bytes()).hexdigest()
            original = first.setdefault(digest, path)
            if original != path:
                found[path] = f"the same file as {original}"
    return found


def _plainest(path: PurePosixPath) -> tuple[object, ...]:
    """Key that sorts the original before its copies: in fewer folders, without ``copy`` and the like, shorter."""
    return (len(path.parts), _edited(path), len(path.name), in_order(path))


def picture(path: PurePosixPath, photo: Image.Image) -> Picture:
    """The ``Picture`` of a photo, to compare it with others."""
    grey = np.asarray(photo.convert("L").resize(LOOK, Image.Resampling.BOX), dtype=np.float32)
    grey = grey - grey.mean()
    return Picture(path, photo.size, (grey / max(float(np.linalg.norm(grey)), 1e-6)).ravel())


def same_shots(pictures: Sequence[Picture]) -> dict[PurePosixPath, str]:
    """Pictures that are a smaller, converted or re-saved version of another one, each with that other one.

    Their names are the same except for what programs add (``IMG_1 copy.jpg``, ``images_4/IMG_1.png``), and they look
    the same. Moreover, their sizes or file names must differ, because two cameras may number their photos in the same
    way. A number in brackets is not treated as a copy's: series of photos are numbered like that, too.
    """
    groups: dict[str, list[Picture]] = defaultdict(list)
    for item in pictures:
        groups[_root(item.path.stem)].append(item)
    found: dict[PurePosixPath, str] = {}
    for group in groups.values():
        group.sort(key=lambda item: (-item.size[0] * item.size[1], _edited(item.path), in_order(item.path)))
        for place, item in enumerate(group):
            for other in group[:place]:
                differs = item.size != other.size or item.path.name.casefold() != other.path.name.casefold()
                if differs and other.path not in found and float(item.look @ other.look) > ALIKE:
                    found[item.path] = f"the same shot as {other.path}"
                    break
    return found


def by_folder(files: dict[PurePosixPath, str], taken: Iterable[PurePosixPath]) -> dict[str, str]:
    """Shorten the list: a folder that is left out completely is listed once, with the number of files of each kind.

    Args:
        files: left out, and why.
        taken: files that are used.
    """
    used = {folder for path in taken for folder in path.parents}
    folders: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for path in files:
        whole = [folder for folder in path.parents if folder not in used and folder != PurePosixPath(".")]
        folders[whole[-1] if whole else path].append(path)
    told = {}
    for folder, inside in folders.items():
        if len(inside) == 1:
            told[str(inside[0])] = files[inside[0]]
        else:
            kinds = Counter(re.sub(r" as .*", " as another", files[path]).rpartition(": ")[2] for path in inside)
            told[f"{folder}/"] = "; ".join(f"{number} files: {what}" for what, number in kinds.most_common())
    return told


def _root(stem: str) -> str:
    """The part that the names of all copies of a photo share."""
    stem = EDITED.sub(r"img_\1", BEFORE.sub("", stem.casefold()))
    return COPY.sub("", stem) or stem


def _edited(path: PurePosixPath) -> bool:
    """Whether the name says that the file is a program's copy of another."""
    return _root(path.stem) != path.stem.casefold()
