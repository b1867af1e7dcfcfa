"""Whatever numbers, texts and shapes a stranger's file holds: refused by name, or cameras that can be drawn with."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bags.datamodules.parsers import colmap
from bags.datamodules.parsers.blender import parse_blender
from bags.datamodules.parsers.colmap_files import ColmapCamera, ColmapImage, ColmapModel
from bags.datamodules.parsers.multiscale_blender import parse_multiscale_blender
from bags.datamodules.scene_datamodule import scene_extent
from bags.errors import DataError
from bags.settings import DatasetSettings
from bags.types import Scene
from tests.faults.openers import sound_camera
from tests.standins import picture, write_blender, write_multiscale

# The same examples every time; the campaign (make faults) tries fresh damage.
quick = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
numbers = st.floats() | st.integers() | st.floats(-2, 2)
values = st.recursive(
    numbers | st.booleans() | st.none() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def sound(scene: Scene) -> None:
    for view in (*scene.train, *scene.test):
        sound_camera(view.camera, view.name)
    assert np.isfinite(scene_extent([view.camera for view in scene.train]))


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blender(tmp_path_factory.mktemp("blender"), 2, 1, (24, 16))


@pytest.fixture(scope="module")
def multiscale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_multiscale(tmp_path_factory.mktemp("multiscale"), 2, 1, 16, (0,))


def parsed_or_refused(path: Path, tree: dict[str, Any], parser: Any, name: str) -> None:
    before = path.read_text()
    path.write_text(json.dumps(tree))
    try:
        sound(parser(DatasetSettings(parser=name, root=str(path.parent))))
    except DataError as error:
        assert str(path.parent) in str(error) or "training camera(s) are all in one place" in str(error)
    finally:
        path.write_text(before)


@quick
@given(
    value=values,
    row=st.integers(0, 3),
    column=st.integers(0, 3),
    key=st.sampled_from(["pose", "cell", "angle", "name"]),
)
def test_blender(blender: Path, value: Any, row: int, column: int, key: str) -> None:
    path = blender / "transforms_train.json"
    tree = json.loads(path.read_text())
    frame = tree["frames"][1]
    if key == "angle":
        tree["camera_angle_x"] = value
    elif key == "name":
        frame["file_path"] = value
    elif key == "pose":
        frame["transform_matrix"] = value
    else:
        frame["transform_matrix"][row][column] = value
    parsed_or_refused(path, tree, parse_blender, "blender")


@quick
@given(value=values, key=st.sampled_from(["file_path", "cam2world", "width", "height", "focal"]), whole=st.booleans())
def test_multiscale(multiscale: Path, value: Any, key: str, whole: bool) -> None:
    path = multiscale / "metadata.json"
    tree = json.loads(path.read_text())
    if whole:
        tree["train"][key] = value
    else:
        tree["train"][key][1] = value
    parsed_or_refused(path, tree, parse_multiscale_blender, "multiscale_blender")


@quick
@given(
    model=st.sampled_from(["PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "FULL_OPENCV", "nothing"]),
    size=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)) | st.just((24, 16)) | st.just((2400, 1600)),
    params=st.lists(st.floats() | st.floats(1, 100), min_size=8, max_size=8),
    turn=st.lists(st.floats() | st.floats(-1, 1), min_size=4, max_size=4),
    move=st.lists(st.floats() | st.floats(-9, 9), min_size=3, max_size=3),
    points=st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=1, max_size=3),
)
def test_colmap(
    tmp_path_factory: pytest.TempPathFactory, model: str, size: tuple[int, int], params: list[float], turn: list[float],
    move: list[float], points: list[list[float]],
) -> None:  # fmt: skip
    root = tmp_path_factory.getbasetemp() / "colmap"
    if not root.exists():
        (root / "sparse/0").mkdir(parents=True)
        (root / "sparse/0/cameras.bin").touch()
        for name in ("a.png", "b.png"):
            picture(root / "images" / name, (24, 16))
    count = {"PINHOLE": 4, "SIMPLE_PINHOLE": 3, "OPENCV": 8}.get(model, 8)
    images = [
        ColmapImage("a.png", tuple(turn), tuple(move), 1),
        ColmapImage("b.png", (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 2),
    ]
    cameras = {
        1: ColmapCamera(model, *size, tuple(params[:count])),
        2: ColmapCamera("PINHOLE", 24, 16, (20, 20, 12, 8)),
    }
    xyz = np.array(points)
    made = ColmapModel(cameras, images, xyz, np.full_like(xyz, 128.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(colmap, "read_model", lambda folder: copy.deepcopy(made))
        try:
            scene = colmap.parse_colmap(DatasetSettings(parser="colmap", root=str(root), hold=None))
        except DataError as error:
            assert "a.png" in str(error) or "camera model" in str(error) or "no points" in str(error)
            return
    sound(scene)
    assert bool(scene.points.xyz.isfinite().all()) and len(scene.points.xyz) == len(scene.points.rgb)
