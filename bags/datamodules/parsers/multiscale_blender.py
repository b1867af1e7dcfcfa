"""Mip-NeRF's multi-scale Blender scenes (docs/datasets.md): ``metadata.json``, every photo at several resolutions."""

from __future__ import annotations

import logging

from bags.datamodules.parsers.colmap_files import ColmapCamera
from bags.datamodules.parsers.json_file import JsonObject, read_json
from bags.datamodules.parsers.lens import PhotoView, photo_view
from bags.datamodules.parsers.photos import MissingPhoto, PhotoFolder, scene_folder
from bags.datamodules.parsers.scenes import NO_POINTS, assembled, present
from bags.datamodules.parsers.transforms import opengl_pose
from bags.errors import DataError
from bags.io.images import image_size
from bags.settings import DatasetSettings
from bags.types import Scene

log = logging.getLogger(__name__)

USED = ("file_path", "cam2world", "width", "height", "focal")
KNOWN = (*USED, "label", "near", "far", "lossmult", "pix2cam")  # the others are redundant or not used here


def parse_multiscale_blender(settings: DatasetSettings) -> Scene:
    """Read a multi-scale Blender scene; photos are located and their sizes read, but not loaded. No initial points.

    Every resolution of a photo is a separate view, with the same weight (``lossmult`` is not used).

    Args:
        settings: ``root``, ``missing_photos`` and ``resolutions`` are used.

    Raises:
        DataError: something is missing, damaged or inconsistent; says what, and what to do.
    """
    root = scene_folder(settings)
    folder = PhotoFolder(root)
    file = read_json(root / "metadata.json", "a multi-scale Blender scene has it in dataset.root")
    made = [present(_rows(file.part(split)), lambda row: _view(folder, row), settings) for split in ("train", "test")]
    train, test = ([item for item in part if isinstance(item, PhotoView)] for part in made)
    missing = [item for part in made for item in part if isinstance(item, MissingPhoto)]
    if settings.resolutions == "highest":
        train, test = _highest(train), _highest(test)
    return assembled(root, train, test, missing, folder, NO_POINTS, "metadata.json", unit=True)


def _rows(split: JsonObject) -> list[JsonObject]:
    columns = {key: split.items(key) for key in USED}
    count = len(columns["file_path"])
    for key, column in columns.items():
        if len(column) != count:
            problem = f"{split.where}.{key} has {len(column)} entries, {split.where}.file_path {count}"
            raise DataError(f"{split.path}: {problem}; export it again")
    if odd := split.unknown(KNOWN):
        log.warning("%s: unknown keys are ignored: %s", split.path, ", ".join(odd))
    rows = [{key: column[index] for key, column in columns.items()} for index in range(count)]
    return [JsonObject(split.path, f"{split.where}[{i}]", row) for i, row in enumerate(rows)]


def _view(folder: PhotoFolder, row: JsonObject) -> PhotoView:
    name, where = row.text("file_path"), f"{row.path.name} {row.where}"
    photo = folder.find(name, f"{where}.file_path", "restore it or export the scene again")
    width, height = image_size(photo.path)
    for key, side in (("width", width), ("height", height)):
        if row.positive(key) != side:
            raise row.fail(key, f"{photo.path} is {width} x {height} pixels")
    focal = row.positive("focal")
    lens = ColmapCamera("PINHOLE", width, height, (focal, focal, width / 2, height / 2))
    return photo_view(photo, lens, *opengl_pose(row, "cam2world"), where)


def _highest(views: list[PhotoView]) -> list[PhotoView]:
    widest = max((item.view.camera.width for item in views), default=0)
    return [item for item in views if item.view.camera.width == widest]
