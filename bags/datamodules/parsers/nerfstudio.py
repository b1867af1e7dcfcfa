"""nerfstudio's and instant-ngp's scenes (docs/datasets.md): one ``transforms.json`` for all photos."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from bags.datamodules.parsers.colmap import point_cloud
from bags.datamodules.parsers.colmap_files import is_model, read_model
from bags.datamodules.parsers.json_file import JsonObject, read_json
from bags.datamodules.parsers.photos import PhotoFolder, parts_of, scene_folder
from bags.datamodules.parsers.scenes import NO_POINTS, divided
from bags.datamodules.parsers.transforms import frame_view, warn_unknown
from bags.errors import DataError
from bags.io.points import read_points
from bags.settings import DatasetSettings
from bags.types import PointCloud, Scene

log = logging.getLogger(__name__)

CLOUD = "sparse_pc.ply"
MODELS = ("colmap/sparse/0", "sparse/0")
HELD_OUT = ("test_filenames", "val_filenames")


def parse_nerfstudio(settings: DatasetSettings) -> Scene:
    """Read a scene with one ``transforms.json``; photos are located and their sizes read, but not loaded.

    Coordinates are those of the file. Initial points come from the file ``ply_file_path``, else from ``sparse_pc.ply``,
    else from a COLMAP model in the folder, moved by ``applied_transform``. (Without ``applied_transform`` the model is
    not used, because the cameras may have been moved in an unknown way.) Otherwise the scene has no points. Test views
    are chosen as for COLMAP. If no file in the folder lists them, they are those of ``test_filenames`` and
    ``val_filenames``, if present.

    Args:
        settings: ``root``, ``missing_photos`` and ``hold`` are used.

    Raises:
        DataError: something is missing, damaged or inconsistent; says what, and what to do.
    """
    root = scene_folder(settings)
    remedy = "nerfstudio and instant-ngp have it in dataset.root"
    if (root / "transforms_train.json").is_file():
        remedy += "; with transforms_train.json, add dataset=blender"
    file = read_json(root / "transforms.json", remedy)
    frames = sorted(file.parts("frames"), key=lambda frame: "/".join(parts_of(frame.text("file_path"))))
    warn_unknown([file, *frames])
    folder = PhotoFolder(root)
    points = _points(root, file)
    if not len(points.xyz):
        log.warning("%s: no initial points: random ones are used (model.gaussians.random_points)", file.path)
    return divided(
        root, frames, lambda frame: frame_view(file, frame, folder), folder, points, settings, "transforms.json",
        _held_out(file, frames),
    )  # fmt: skip


def _held_out(file: JsonObject, frames: list[JsonObject]) -> frozenset[str] | None:
    """Names of the views that the file itself holds out; None if it does not say."""
    if not any(key in file.values for key in (*HELD_OUT, "train_filenames")):
        return None
    views = {parts_of(frame.text("file_path")) for frame in frames}
    held = set()
    for key in HELD_OUT:
        for name in file.items(key) if file.values.get(key) else ():
            if not isinstance(name, str) or parts_of(name) not in views:
                raise file.fail(key, f"{name!r} is not the file_path of any frame")
            held.add("_".join(parts_of(name)))
    return frozenset(held)


def _points(root: Path, file: JsonObject) -> PointCloud:
    if file.values.get("ply_file_path") is not None:
        parts = parts_of(file.text("ply_file_path"))
        if ".." in parts:
            raise file.fail("ply_file_path", "leads outside dataset.root, which is not allowed")
        return _cloud(root.joinpath(*parts), "ply_file_path from transforms.json")
    if (root / CLOUD).is_file():
        return _cloud(root / CLOUD, "the file")
    model = next((root / place for place in MODELS if is_model(root / place)), None)
    if model is None or "applied_transform" not in file.values:
        return NO_POINTS
    moved, found = file.matrix("applied_transform"), read_model(model)
    with np.errstate(over="ignore", invalid="ignore"):  # non-finite points are left out
        return point_cloud(found.xyz @ moved[:3, :3].T + moved[:3, 3], found.rgb)


def _cloud(path: Path, source: str) -> PointCloud:
    try:
        table = read_points(path)
    except DataError as error:
        raise DataError(f"{error}, or remove {source}") from error
    return point_cloud(table[:, :3], table[:, 3:])
