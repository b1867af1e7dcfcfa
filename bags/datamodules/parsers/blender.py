"""NeRF's Blender scenes (docs/datasets.md): ``transforms_train.json``, ``transforms_test.json`` and photos."""

from __future__ import annotations

import logging

from bags.datamodules.parsers.json_file import JsonObject, read_json
from bags.datamodules.parsers.lens import PhotoView
from bags.datamodules.parsers.photos import MissingPhoto, PhotoFolder, scene_folder
from bags.datamodules.parsers.scenes import NO_POINTS, assembled, present
from bags.datamodules.parsers.transforms import frame_view, warn_unknown
from bags.settings import DatasetSettings
from bags.types import Scene

log = logging.getLogger(__name__)

TRAIN, TEST = "transforms_train.json", "transforms_test.json"


def parse_blender(settings: DatasetSettings) -> Scene:
    """Read a Blender scene; photos are located and their sizes read, but not loaded. It has no initial points.

    The focal length is ``width / (2 tan(camera_angle_x / 2))`` in pixels and the principal point the image centre,
    unless the files say more (``bags.datamodules.parsers.transforms``). A photo in both files is a training view and
    not a test view.

    Args:
        settings: ``root`` and ``missing_photos`` are used.

    Raises:
        DataError: something is missing, damaged or inconsistent; says what, and what to do.
    """
    root = scene_folder(settings)
    folder = PhotoFolder(root)
    train, test = (_views(folder, name, settings) for name in (TRAIN, TEST))
    learned = {item.photo.path for item in train if isinstance(item, PhotoView)}
    held_out = [item for item in test if isinstance(item, PhotoView) and item.photo.path not in learned]
    missing = [item for item in (*train, *test) if isinstance(item, MissingPhoto)]
    if both := sum(isinstance(item, PhotoView) for item in test) - len(held_out):
        log.warning(
            "%s: %d photos are also in %s: they are used for training, not as test views", root / TEST, both, TRAIN
        )
    there = [item for item in train if isinstance(item, PhotoView)]
    return assembled(root, there, held_out, missing, folder, NO_POINTS, "transforms_*.json", unit=True)


def _views(folder: PhotoFolder, name: str, settings: DatasetSettings) -> list[PhotoView | MissingPhoto]:
    remedy = f"a Blender scene has {TRAIN} and {TEST} in dataset.root"
    if (folder.path / "transforms.json").is_file():
        remedy += "; with transforms.json alone, add dataset=nerfstudio"
    file: JsonObject = read_json(folder.path / name, remedy)
    frames = file.parts("frames")
    warn_unknown([file, *frames])
    return present(frames, lambda frame: frame_view(file, frame, folder), settings)
