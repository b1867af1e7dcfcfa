"""From photos to a scene that our own parser reads, and folders that no scene can be made of."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from bags.datamodules.parsers.colmap import parse_colmap
from bags.errors import DataError, SettingError
from bags.preparation import mapping
from bags.preparation.intake import Photo
from bags.preparation.mapping import why_not
from bags.preparation.scene import RECORD, Prepared, _best, held_out, left_out, prepare
from bags.settings import DatasetSettings, PrepareSettings
from bags.types import Scene
from tests.preparation.conftest import SMALL, silent


def test_all_photos_are_placed_where_they_were_taken(scene: Prepared, world: Scene) -> None:
    assert scene.record["placed"] == 8 and scene.record["attempt"] == "careful"
    found = parse_colmap(DatasetSettings(parser="colmap", root=str(scene.root)))
    assert len(found.points.xyz) == scene.record["points"] > 100
    assert [view.name for view in found.test] == scene.record["test_views"]
    views = sorted((*found.train, *found.test), key=lambda view: view.name)
    assert [view.name for view in views] == [f"IMG_{number}.jpg" for number in range(8)]
    ours = np.array([view.camera.center.numpy() for view in views], dtype=np.float64)
    true = np.array([view.camera.center.numpy() for view in world.train], dtype=np.float64)
    ours, true = ours - ours.mean(axis=0), true - true.mean(axis=0)
    turn, _ = Rotation.align_vectors(true, ours)
    scale = np.linalg.norm(true) / np.linalg.norm(ours)
    errors = np.linalg.norm(scale * turn.apply(ours) - true, axis=1)
    assert errors.max() < 0.05  # scene units, cameras 4.4 from the target; measured 0.0076
    for view in views:
        assert view.load().size == (view.camera.width, view.camera.height)
        assert view.camera.fx == pytest.approx(288, rel=0.05)  # measured 0.3 %


def test_the_record_tells_what_became_of_every_file(scene: Prepared) -> None:
    record = json.loads((scene.root / "prepare.json").read_text())
    assert record == scene.record
    reasons = {row["file"]: row["reason"] for row in record["not_used"]}
    assert set(reasons) == {"cut.jpg", "notes.txt"}
    assert "cannot be read as an image" in reasons["cut.jpg"] and reasons["notes.txt"] == "not a photo"
    assert [(camera["width"], camera["focal_from_exif"]) for camera in record["cameras"]] == [(288, True)]
    assert 0 < record["reprojection_error_px"] < 1
    assert all(row["placed"] and 0.4 < row["sharpness"] < 1 for row in record["photos"])
    assert sorted(path.name for path in scene.root.iterdir()) == ["images", "prepare.json", "sparse", "test.txt"]
    assert [path.name for path in scene.root.parent.iterdir()] == [scene.root.name]


def test_omitted_photos_are_reported_from_the_record(scene: Prepared, tmp_path: Path) -> None:
    told = [{"file": row["file"], "reason": row["reason"]} for row in scene.record["not_used"]]
    assert left_out(str(scene.root)) == told and len(told) == 2
    unplaced = {"source": "a.jpg", "placed": False, "reason": "too few details"}
    (tmp_path / RECORD).write_text(json.dumps({"photos": [unplaced], "not_used": []}))
    assert left_out(str(tmp_path)) == [{"file": "a.jpg", "reason": "too few details"}]
    for unusable in ("", "[]", '{"photos": 3}'):
        (tmp_path / RECORD).write_text(unusable)
        assert left_out(str(tmp_path)) == []
    assert left_out(str(tmp_path / "nowhere")) == []


def test_a_scene_without_a_folder_leaves_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in scene, run from within a prepared one."""
    unplaced = {"source": "a.jpg", "placed": False, "reason": "too few details"}
    (tmp_path / RECORD).write_text(json.dumps({"photos": [unplaced], "not_used": []}))
    monkeypatch.chdir(tmp_path)
    assert left_out(None) == []


def few(photos: Path, into: Path, count: int) -> Path:
    into.mkdir()
    for photo in sorted(photos.iterdir())[:count]:
        shutil.copy(photo, into)
    return into


def noise(folder: Path, count: int, size: tuple[int, int] = (160, 120)) -> Path:
    """Photos that have nothing in common."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda photos, tmp: tmp / "nowhere", r"nowhere: no such folder or file"),
        (lambda photos, tmp: few(photos, tmp / "empty", 0), r"empty: an empty folder"),
        (lambda photos, tmp: few(photos, tmp / "two", 2), r"two: 2 usable photo\(s\), but at least 3"),
        (lambda photos, tmp: noise(tmp / "noise", 4), r"none of the 4 photos could be placed.*overlap"),
        (lambda photos, tmp: noise(tmp / "tiny", 3, (80, 40)), r"0 usable.*0\.jpg: 80 x 40 pixels; at least 64"),
        (lambda photos, tmp: sorted(photos.iterdir())[0], r"neither a folder nor a video"),
    ],
)
def test_folders_that_no_scene_can_be_made_of(photos, tmp_path, make, message) -> None:
    settings = PrepareSettings(features=300)
    with pytest.raises(DataError, match=message):
        prepare(make(photos, tmp_path), tmp_path / "scenes/x", settings, 0, silent)
    assert not (tmp_path / "scenes").exists() or not list((tmp_path / "scenes").iterdir())


def test_text_files_only(tmp_path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("a")
    (tmp_path / "texts/b.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"0 usable.*a\.txt: not a photo; b\.jpg: cannot be read as an image"):
        prepare(tmp_path / "texts", tmp_path / "scene", PrepareSettings(), 0, silent)


def test_no_empty_folder_is_left(tmp_path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="an empty folder"):
        prepare(tmp_path / "none", tmp_path / "new/data/scene", PrepareSettings(), 0, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["none"]


def test_existing_files_are_kept(photos, tmp_path) -> None:
    for root, message in (
        (photos.parent, "a folder apart|already contains something else"),
        (photos / "in", "a folder apart"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(photos, root, SMALL, 0, silent)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match="mine: already contains something else"):
        prepare(photos, tmp_path / "mine", SMALL, 0, silent)
    (tmp_path / "mine/prepare.json").write_text("{}")  # made by an earlier run: replaced only once a new one stands
    with pytest.raises(DataError, match="none of the 3 photos"):
        prepare(noise(tmp_path / "noise", 3), tmp_path / "mine", PrepareSettings(features=300), 0, silent)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["prepare.json", "thesis.txt"]


def test_crash_of_the_child_process_is_reported(photos, tmp_path, monkeypatch) -> None:
    for code, message in (("raise ValueError('odd')", r"ValueError: odd"), ("import os; os.abort()", "SIGABRT")):
        child = tmp_path / "child.py"
        child.write_text(code)
        monkeypatch.setattr(mapping, "CHILD", child)
        with pytest.raises(DataError, match=rf"pycolmap failed on these photos \(.*{message}"):
            prepare(photos, tmp_path / "scene", SMALL, 0, silent)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["child.py"]


def test_test_views_are_the_sharpest_of_equal_runs() -> None:
    sharp = [0.5, 0.9, 0.1, 0.2, 0.6, 0.3, 0.8]
    photos = [Photo(f"{i}.jpg", "", 9, 9, "", value) for i, value in enumerate(sharp)]
    assert held_out(photos, None) == []
    assert held_out(photos, 1) == ["1.jpg"]
    assert held_out(photos[::-1], 3) == ["1.jpg", "4.jpg", "6.jpg"]  # runs 0-1, 2-4, 5-6
    with pytest.raises(SettingError, match=r"prepare\.test_views.*at most half"):
        held_out(photos, 4)


def test_why_a_photo_is_dropped() -> None:
    for (elsewhere, details, partners), message in {
        (True, 900, 3): "another group",
        (False, 20, 0): r"too few details \(20\): blurred",
        (False, 900, 0): "shares no details",
        (False, 900, 2): r"with 2 other photo\(s\), too few",
    }.items():
        reason = why_not({"elsewhere": elsewhere, "details": details, "partners": partners})
        assert re.search(message, reason), reason


def test_the_best_photos_of_many(tmp_path: Path) -> None:
    """Sharp and spread: of each run of the names' order the sharpest, whatever order they come in."""
    (tmp_path / "photos").mkdir()
    sharpness = [0.1, 0.9, 0.2, 0.8, 0.7, 0.3]
    photos = [Photo(f"{n + 8}.jpg", f"{n + 8}.jpg", 96, 64, "", value) for n, value in enumerate(sharpness)]
    for photo in photos:
        (tmp_path / "photos" / photo.name).touch()
    best, dropped = _best(photos[::-1], [], 3, tmp_path)
    assert [photo.name for photo in best] == ["9.jpg", "11.jpg", "12.jpg"]
    assert {path.name for path in (tmp_path / "photos").iterdir()} == {"9.jpg", "11.jpg", "12.jpg"}
    assert {item.source for item in dropped} == {"8.jpg", "10.jpg", "13.jpg"}
    assert dropped[0].reason == "a sharper photo near it was taken (prepare.photos=3)"
    assert _best(photos, [], None, tmp_path) == _best(photos, [], 6, tmp_path) == (photos, [])
