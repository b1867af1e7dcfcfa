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
from bags.datamodules.parsers.transforms import frame_view, told_unknown
from bags.errors import DataError
from bags.io.points import read_points
from bags.settings import DatasetSettings
from bags.types import PointCloud, Scene

log = logging.getLogger(__name__)

CLOUD = "sparse_pc.ply"
MODELS = ("colmap/sparse/0", "sparse/0")
HELD_OUT = ("test_filenames", "val_filenames")


def parse_nerfstudio(settings: DatasetSettings) -> Scene:
    """Read a scene of one ``transforms.json``; photos are found and measured, not loaded.

    Coordinates stay those of the file. Points: the file ``ply_file_path``, or ``sparse_pc.ply``, or those of the COLMAP
    model that lies below, moved by ``applied_transform`` (not without it: the cameras may have been moved, too); where
    there are none of these, the scene has none. Test views: as for COLMAP, but where no file in the folder says which,
    they are those of ``test_filenames`` and ``val_filenames``, if there are such.

    Args:
        settings: ``root``, ``missing_photos`` and ``hold`` are used.

    Raises:
        DataError: something is missing, damaged or does not fit together; says what and what to do.
    """
    root = scene_folder(settings)
    remedy = "nerfstudio and instant-ngp have it in dataset.root"
    if (root / "transforms_train.json").is_file():
        remedy += "; with transforms_train.json, add dataset=blender"
    file = read_json(root / "transforms.json", remedy)
    frames = sorted(file.parts("frames"), key=lambda frame: "/".join(parts_of(frame.text("file_path"))))
    told_unknown([file, *frames])
    folder = PhotoFolder(root)
    points = _points(root, file)
    if not len(points.xyz):
        log.warning("%s: no initial points: random ones are used (model.gaussians.random_points)", file.path)
    return divided(
        root, frames, lambda frame: frame_view(file, frame, folder), folder, points, settings, "transforms.json",
        _held_out(file, frames),
    )  # fmt: skip


def _held_out(file: JsonObject, frames: list[JsonObject]) -> frozenset[str] | None:
    """Names of the views that the file itself holds out; None where it does not say."""
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
            raise file.fail("ply_file_path", "leads outside dataset.root; refused")
        return _cloud(root.joinpath(*parts))
    if (root / CLOUD).is_file():
        return _cloud(root / CLOUD)
    model = next((root / place for place in MODELS if is_model(root / place)), None)
    if model is None or "applied_transform" not in file.values:
        return NO_POINTS
    moved, found = file.matrix("applied_transform"), read_model(model)
    with np.errstate(over="ignore", invalid="ignore"):  # such points are left out
        return point_cloud(found.xyz @ moved[:3, :3].T + moved[:3, 3], found.rgb)


def _cloud(path: Path) -> PointCloud:
    try:
        table = read_points(path)
    except DataError as error:
        raise DataError(f"{error}, or remove ply_file_path from transforms.json") from error
    return point_cloud(table[:, :3], table[:, 3:])
