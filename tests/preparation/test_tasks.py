"""``task=prepare`` and ``task=reconstruct`` as people type them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from bags.cli import config_folder
from bags.config import register, to_settings
from bags.errors import DataError, SettingError
from bags.settings import PrepareSettings, Settings
from bags.tasks import prepare, reconstruct

RUN = [sys.executable, str(Path(__file__).parents[2] / "run.py")]


def settings_of(*overrides: str) -> Settings:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return to_settings(compose("config", overrides=list(overrides)))


def test_photos_name_scene_and_run(tmp_path: Path) -> None:
    settings = settings_of("task=prepare", "scene=photos", f"source={tmp_path}/my kitchen")
    assert settings.scene == settings.name == "my kitchen"
    assert settings.dataset.root == "data/my kitchen" and settings.dataset.parser == "colmap"
    (tmp_path / "clip.mp4").touch()
    assert settings_of("scene=photos", f"source={tmp_path}/clip.mp4").name == "clip"


def test_reconstruct_in_one_go(photos: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reconstruct, "said", lambda: {"schedule.steps", "dataset", "prepare.features"})
    settings = settings_of(
        "task=reconstruct", "scene=photos", f"source={photos}", "name=trip", "schedule.steps=3",
        "prepare.features=1000", "prepare.threads=2", "prepare.test_views=2", "metrics.lpips=false",
        "trainer.progress=false", "output.train_views=1", f"output_root={tmp_path}/outputs", f"paths.data={tmp_path}",
        "output.images_every=null", "dataset.factor=96", "model.bpn.hidden=8", "render.frames=4",
    )  # fmt: skip
    reconstruct.run(settings)
    said = capsys.readouterr().out
    assert "8 of 8 photos placed" in said and "outputs/trip/point_cloud.ply" in said
    config = yaml.safe_load((tmp_path / "outputs/trip/config.yaml").read_text())
    assert config["task"] == "train"
    assert config["model"]["gaussians"]["max_count"] == 14_000 and config["model"]["bpn"]["kernels"] == [5, 7, 9]
    assert config["schedule"]["steps"] == 3 and config["dataset"]["factor"] == 96  # as said
    metrics = json.loads((tmp_path / "outputs/trip/metrics.json").read_text())
    assert metrics["steps"] == 3 and len(metrics["per_view"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", photos.name}
    drawn = {path.name for path in (tmp_path / "outputs/trip/renders/step_3/train").iterdir()}
    assert len(drawn) == 12 and (tmp_path / "outputs/trip/report.html").is_file()
    assert (tmp_path / "outputs/trip/renders/step_3/train.mp4").stat().st_size > 0
    assert (tmp_path / "outputs/trip/export/step_3/point_cloud.ply").is_file()


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run([*RUN, "task=prepare"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "source = None: give a folder of photos or a video" in done.stderr  # and not: unused key, scene demo
    (tmp_path / "photos").mkdir()
    settings = settings_of("scene=photos", f"source={tmp_path}/photos", f"paths.data={tmp_path}/data")
    for run in (prepare.run, reconstruct.run):
        with pytest.raises(DataError, match="photos: an empty folder"):
            run(settings)
    with pytest.raises(DataError, match=r"prepare\.json: no scene was prepared there.*leave ckpt_path out"):
        reconstruct.run(replace(settings, ckpt_path="last"))
    with pytest.raises(SettingError, match=r"dataset\.root"):
        prepare.run(settings_of(f"source={tmp_path}/photos"))
    with pytest.raises(SettingError, match=r"prepare\.frames"):
        settings_of("prepare.frames=1")


def test_chosen_values_reach_their_keys() -> None:
    settings = reconstruct.with_values(Settings(), {"seed": 3, "dataset.factor": 4, "model.bpn.kernels": (3, 5, 7)})
    assert (settings.seed, settings.dataset.factor, settings.model.bpn.kernels) == (3, 4, (3, 5, 7))
    assert settings.dataset.images == "images" and settings.prepare == PrepareSettings()


def test_bars_count_every_thing_once() -> None:
    with prepare.Bars(hidden=True) as bars:
        for what, done, total in (("a", 0, 3), ("a", 2, 3), ("b", 1, 2), ("b", 1, 2)):
            bars.show(what, done, total)
    assert [(task.description, task.completed, task.total) for task in bars.progress.tasks] == [
        ("a", 3, 3),
        ("b", 2, 2),
    ]
