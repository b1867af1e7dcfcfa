"""Mip-NeRF's multi-scale Blender scenes (docs/datasets.md): ``metadata.json``, every photo at several resolutions."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from bags.datamodules.parsers.blender import NO_POINTS, opengl_camera, view_name
from bags.datamodules.parsers.json_file import JsonObject, read_json
from bags.datamodules.parsers.photos import check_names, find_photo, scene_folder
from bags.errors import DataError
from bags.io.images import image_size, read_image
from bags.settings import DatasetSettings
from bags.types import Scene, View

log = logging.getLogger(__name__)

USED = ("file_path", "cam2world", "width", "height", "focal")
KNOWN = (*USED, "label", "near", "far", "lossmult", "pix2cam")  # the others follow from these or are not used here


def parse_multiscale_blender(settings: DatasetSettings) -> Scene:
    """Read a multi-scale Blender scene; photos are found and measured, not loaded. It has no points to start from.

    Every resolution of a photo is a view of its own, with the same weight (``lossmult`` is not used).

    Args:
        settings: ``root`` and ``resolutions`` are used.

    Raises:
        DataError: something is missing, damaged or does not fit together; says what and what to do.
    """
    root = scene_folder(settings)
    file = read_json(root / "metadata.json", "a multi-scale Blender scene has it in dataset.root")
    train, test = (_views(root, file.part(split)) for split in ("train", "test"))
    check_names([*train, *test], root)
    if settings.resolutions == "highest":
        train, test = _highest(train), _highest(test)
    return Scene(name=root.resolve().name, train=train, test=test, points=NO_POINTS)


def _views(root: Path, split: JsonObject) -> tuple[View, ...]:
    columns = {key: split.items(key) for key in USED}
    count = len(columns["file_path"])
    for key, column in columns.items():
        if len(column) != count:
            problem = f"{split.where}.{key} has {len(column)} entries, {split.where}.file_path {count}"
            raise DataError(f"{split.path}: {problem}; export it again")
    if odd := split.unknown(KNOWN):
        log.warning("%s: unknown keys are ignored: %s", split.path, ", ".join(odd))
    rows = [{key: column[index] for key, column in columns.items()} for index in range(count)]
    return tuple(_view(root, JsonObject(split.path, f"{split.where}[{i}]", row)) for i, row in enumerate(rows))


def _view(root: Path, row: JsonObject) -> View:
    name = row.text("file_path")
    path = find_photo(root, name, f"{row.path.name} {row.where}.file_path", "restore it or export the scene again")
    width, height = image_size(path)
    for key, side in (("width", width), ("height", height)):
        if row.positive(key) != side:
            raise row.fail(key, f"{path} is {width} x {height} pixels")
    camera = opengl_camera(row, "cam2world", row.positive("focal"), width, height)
    return View(name=view_name(name), camera=camera, load=partial(read_image, path))


def _highest(views: tuple[View, ...]) -> tuple[View, ...]:
    widest = max(view.camera.width for view in views)
    return tuple(view for view in views if view.camera.width == widest)
