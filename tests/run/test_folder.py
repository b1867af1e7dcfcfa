"""A run's folder: whose it is, and which run lies in it."""

from __future__ import annotations

import math
import os
import re
import resource
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bags.errors import BagsError
from bags.io.atomic import WriteError
from bags.io.documents import read_yaml
from bags.io.records import write_json, write_table
from bags.run.checkpoint_io import AtomicCheckpointIO
from bags.run.checkpoints import checkpoint
from bags.run.folder import begin, finished, owned, psnr, same_run
from bags.settings import (
    DatasetSettings,
    ExportSettings,
    LossSettings,
    PrepareSettings,
    RenderSettings,
    Settings,
    TrainerSettings,
    ViewerSettings,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run that has begun and saved."""
    settings = Settings(output_root=str(tmp_path), ckpt_path="auto")
    assert checkpoint(settings) is None and not same_run(settings)
    begin(settings)
    AtomicCheckpointIO().save_checkpoint(
        {"state_dict": {}, "global_step": 1}, settings.folder / "checkpoints/last.ckpt"
    )
    return settings


def test_the_same_configuration_goes_on_until_it_is_finished(settings: Settings) -> None:
    assert same_run(settings) and not finished(settings)
    saved = checkpoint(settings)
    assert saved is not None and saved.path == settings.folder / "checkpoints/last.ckpt"
    assert begin(settings) is None
    write_json(settings.folder / "metrics.json", {"psnr": 20.0})
    assert finished(settings) and psnr(settings) == 20.0
    begin(settings)
    assert not finished(settings), "what begins again has no figures until it ends"


def test_machine_settings_may_change(settings: Settings) -> None:
    trainer = TrainerSettings(threads=3, progress=False, accelerator="cpu")
    assert same_run(replace(settings, trainer=trainer, viewer=ViewerSettings(live=True), group="trio"))


def test_settings_of_other_tasks_may_change(settings: Settings) -> None:
    after = {"export": ExportSettings(cameras=False), "render": RenderSettings(path="spiral")}
    assert same_run(replace(settings, task="reconstruct", prepare=PrepareSettings(threads=1), **after))
    assert not same_run(replace(settings, source="other/photos")), "photos of another folder are another run"


def test_a_scene_is_found_from_another_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = replace(settings, dataset=DatasetSettings(parser="colmap", root="scenes/trip"))
    monkeypatch.chdir(tmp_path)
    begin(relative)
    stored = read_yaml(relative.folder / "config.yaml")
    assert stored["dataset"]["root"] == str(tmp_path / "scenes/trip")
    assert same_run(relative)
    monkeypatch.chdir("/")
    assert not same_run(relative)
    assert same_run(replace(relative, dataset=replace(relative.dataset, root=str(tmp_path / "scenes/trip"))))


@pytest.mark.parametrize(
    "change", [{"loss": LossSettings(ssim=0.3)}, {"seed": 1}, {"trainer": TrainerSettings(views_per_step=2)}], ids=str
)
def test_settings_that_define_a_run_may_not_change(change: dict[str, Any], settings: Settings) -> None:
    other = replace(settings, **change)
    assert not same_run(other) and checkpoint(other) is None
    aside = begin(other)
    assert aside is not None and (aside / "checkpoints/last.ckpt").exists()
    assert same_run(other) and not same_run(settings) and not (settings.folder / "checkpoints").exists()


def test_a_broken_configuration_is_another_run(settings: Settings, subtests: pytest.Subtests) -> None:
    for text in ["", "[1", "trainer: 3", "- a list"]:
        with subtests.test(text):
            (settings.folder / "config.yaml").write_text(text)
            assert not same_run(settings)


def test_a_folder_has_one_owner(settings: Settings) -> None:
    owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
    for _ in range(2):  # the second time, the first owner is not named any more
        with owned(settings):
            with pytest.raises(BagsError, match=rf"run is being trained by {owner}: wait for it"), owned(settings):
                pass
            with owned(replace(settings, name="other")):
                pass


def test_invalid_metrics_give_nan(settings: Settings, subtests: pytest.Subtests) -> None:
    """A run without test views has null; the command line asks at the end of every run."""
    for text in ['{"psnr": null}', "{}", "[1]", '{"psnr": "x"}', '{"psnr": 1', '{"psnr": ' + "9" * 400 + "}"]:
        with subtests.test(text[:20]):
            assert math.isnan(psnr(settings))
            (settings.folder / "metrics.json").write_text(text)
            assert math.isnan(psnr(settings))


def test_photo_names_cannot_become_spreadsheet_formulas(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"name": name, "x": -1.5} for name in ("=1+1", "@a", "-b", "+c", "d=1", None)])
    assert (tmp_path / "a.csv").read_text().split() == [
        "name,x",
        *(f"{n},-1.5" for n in ("'=1+1", "'@a", "'-b", "'+c", "d=1", "")),
    ]


def test_the_lock_is_neither_a_link_nor_a_folder(settings: Settings) -> None:
    settings.folder.parent.mkdir(exist_ok=True)
    lock, precious = (settings.folder.with_name(name) for name in (f".{settings.folder.name}.lock", "precious"))
    precious.write_text("mine")
    lock.symlink_to(precious)
    with pytest.raises(WriteError, match=r"cannot write .*\.lock: Too many levels"), owned(settings):
        pass
    assert precious.read_text() == "mine"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*\.lock: Is a directory"), owned(settings):
        pass


def test_full_disk_is_reported_in_one_line(settings: Settings) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, usual[1]))  # no file can grow
    try:
        with pytest.raises(WriteError, match=r"cannot write .*\.lock: File too large"), owned(settings):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
