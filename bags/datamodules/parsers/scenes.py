"""From views to a scene: missing photos, test views, and one line that reports both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from bags.datamodules.parsers.lens import PhotoView
from bags.datamodules.parsers.masks import with_masks
from bags.datamodules.parsers.photos import MissingPhoto, PhotoFolder, check_names, reduced
from bags.datamodules.parsers.split import split
from bags.errors import DataError
from bags.io.tally import in_one_line
from bags.settings import DatasetSettings
from bags.types import PointCloud, Scene, View

log = logging.getLogger(__name__)

NO_POINTS = PointCloud(torch.zeros(0, 3), torch.zeros(0, 3))
Item = TypeVar("Item")


def present(
    items: Iterable[Item], make: Callable[[Item], PhotoView], settings: DatasetSettings
) -> list[PhotoView | MissingPhoto]:
    """A view of each of ``items``, or the missing photo if that is allowed (``dataset.missing_photos``).

    Raises:
        MissingPhoto: a photo is missing although none may be, or most of them are missing.
    """
    made: list[PhotoView | MissingPhoto] = []
    for each in items:
        try:
            made.append(make(each))
        except MissingPhoto as problem:
            made.append(problem)
    missing = [item for item in made if isinstance(item, MissingPhoto)]
    there = len(made) - len(missing)
    few = len(missing) <= there
    if missing and (settings.missing_photos == "refuse" or not few):
        more = f" ({len(missing):,} of {len(made):,} photos are missing)" if len(missing) > 1 else ""
        skip = "; or continue without it: dataset.missing_photos=skip" if few else ""
        raise MissingPhoto(missing[0].name, f"{missing[0]}{more}{skip}")
    for item in missing:
        log.warning("left out: %s", item)
    return made


def divided(
    root: Path,
    items: Iterable[Item],
    make: Callable[[Item], PhotoView],
    folder: PhotoFolder,
    points: PointCloud,
    settings: DatasetSettings,
    source: str = "the COLMAP model",
    listed: frozenset[str] | None = None,
) -> Scene:
    """The scene of one list of photos, of which some are test views (``split``) and some may be missing.

    Args:
        root: the scene's folder.
        items: one for each photo, in the order in which ``dataset.hold`` counts.
        make: makes the view of an item.
        folder: of the photos.
        points: initial points.
        settings: ``reduced_images``, ``factor``, ``missing_photos`` and ``hold`` are used.
        source: of the list, in words.
        listed: names of the test views, if the list has them.

    Raises:
        DataError: as ``present``, ``split`` and ``assembled``; or no training view is left.
    """
    made = present(items, make, settings)
    tests = split([item.name for item in made], root, settings.hold, listed)
    there = [item for item in made if isinstance(item, PhotoView)]
    if settings.reduced_images and not any(item.bent for item in there):
        views = reduced([item.view for item in there], [item.photo for item in there], folder.path, settings.factor)
        there = [replace(item, view=view) for item, view in zip(there, views, strict=True)]
    missing = [item for item in made if isinstance(item, MissingPhoto)]
    train, test = ([item for item in there if (item.name in tests) == held] for held in (False, True))
    return assembled(root, train, test, missing, folder, points, source, f" with dataset.hold={settings.hold}")


def assembled(
    root: Path,
    train: Sequence[PhotoView],
    test: Sequence[PhotoView],
    missing: Sequence[MissingPhoto],
    folder: PhotoFolder,
    points: PointCloud,
    source: str,
    because: str = "",
    unit: bool = False,
) -> Scene:
    """The scene of training and test views.

    Raises:
        DataError: as ``with_masks`` and ``check_names``; or no training view is left.
    """
    both = with_masks([*train, *test], folder.path)
    train, test = both[: len(train)], both[len(train) :]
    check_names([item.view for item in both], [item.photo.path for item in both], folder.path)
    if not train:
        raise DataError(f"{root}: there is no training view among {len(both)} photos{because}")
    if bent := sum(item.bent is not None for item in both):
        log.info("%d photos of distorted lenses are undistorted when they are read", bent)
    left_out = {
        f"not in {source}": folder.unused([item.photo for item in both]),
        "missing": [problem.name for problem in missing],
    }
    place = f"{folder.path.relative_to(root).as_posix()}/" if folder.path != root else f"{root.resolve().name}/"
    lenses = len({_lens(item.view) for item in both})
    line = in_one_line(len(both), place, left_out, lenses, len(points.xyz), [item.name for item in test])
    views = [tuple(item.view for item in part) for part in (train, test)]
    return Scene(name=root.resolve().name, train=views[0], test=views[1], points=points, unit=unit, summary=line)


def _lens(view: View) -> tuple[float, ...]:
    camera = view.camera
    return camera.fx, camera.fy, camera.width, camera.height, *camera.offset
