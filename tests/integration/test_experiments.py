"""Every experiment runs, shortened, on tiny made-up scenes; those that are sweeps run as sweeps."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.types import RunMode

from bags import cli
from bags.cli import config_folder
from bags.config.nodes import register
from bags.summary.collect import tables
from bags.summary.runs import find_runs
from tests.integration.test_training import TINY, run, settings_of
from tests.standins import write_colmap

EXPERIMENTS = sorted(path.stem for path in (Path(config_folder()) / "experiment").glob("*.yaml"))
# Scenes that stand for all of a sweep; the whole lists are held in tests/config/test_scenes.py.
SWEPT = {
    "paper_motion": ("blurball", "blurgirl"),
    "paper_defocus": ("defocuscake", "defocustools"),
    "paper_mixed_resolution": ("counter", "garden"),
    "one_setting": ("blurball", "garden"),
}
LADDERS = ("ladder", "ladder_quick")  # sweeps over built-in worlds


def is_sweep(experiment: str) -> bool:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        cfg = compose("config", overrides=[f"experiment={experiment}"], return_hydra_config=True)
    return cfg.hydra.mode == RunMode.MULTIRUN


def test_sweeps_are_known() -> None:
    assert {experiment for experiment in EXPERIMENTS if is_sweep(experiment)} == {*SWEPT, *LADDERS}


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name not in (*SWEPT, *LADDERS)])
def test_experiment_runs(experiment: str, tmp_path: Path) -> None:
    size = ("dataset.synthetic.width=96", "dataset.synthetic.height=64")  # enough for the coarsest scale of any
    settings = settings_of(tmp_path, f"experiment={experiment}", "schedule.steps=4", *size)
    run(settings)
    assert (settings.folder / "metrics.json").is_file()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    written = write_colmap(folder / "any")
    for scene in {scene for scenes in SWEPT.values() for scene in scenes}:
        (folder / scene).symlink_to(written)
    return folder


@pytest.fixture
def quiet_again() -> Iterator[None]:
    yield
    logging.captureWarnings(False)


@pytest.mark.usefixtures("quiet_again")
@pytest.mark.parametrize("experiment", SWEPT)
def test_sweep_runs(experiment: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line as it is typed, in this process; two of its scenes, and two seeds where it has several."""
    scenes, seeds = SWEPT[experiment], (0, 1) if experiment == "one_setting" else (0,)
    limits = [f"scene={','.join(scenes)}", f"seed={','.join(map(str, seeds))}", "schedule.steps=4"]
    command = [f"experiment={experiment}", f"paths.data={data}", *TINY, *limits, "dataset.factor=4"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", *command])
    cli.main()
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "outputs").glob("*/metrics.json"))]
    assert sorted((job["scene"], job["seed"]) for job in found) == sorted((s, n) for s in scenes for n in seeds)
    for job in found:
        assert set(job["protocols"]) == {"deblur_nerf", "mip_splatting"} and job["versions"] and job["steps"] == 4


@pytest.mark.usefixtures("quiet_again")
def test_the_ladder_ends_in_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    limits = ["scene=ladder/facade_sharp,ladder/facade_roll", "model=mip_splatting", "seed=0", "schedule.steps=4"]
    monkeypatch.setattr(sys, "argv", ["run.py", "experiment=ladder", *TINY, *limits, "metrics.lpips=false"])
    cli.main()
    runs, problems = find_runs(tmp_path / "outputs", ["**"], ["model.name"])
    made, more = tables(runs)
    assert not problems + more and [run.scene for run in runs] == ["facade_roll", "facade_sharp"]
    gaps = next(table for table in made if table.title == "Share of the gap closed").sections[-1]
    psnr = [run.figures["deblur_nerf"]["psnr"] for run in runs]
    assert gaps.rows[0].cells[0].mean == pytest.approx(psnr[1] - psnr[0]) and gaps.rows[1].cells[0].mean == 0


@pytest.mark.usefixtures("quiet_again")
def test_ablations_can_be_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", *TINY, "schedule.steps=4", "ablation=none,no_mask"])
    cli.main()
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "outputs").glob("*/metrics.json"))]
    assert sorted(job["model"] for job in found) == ["bags", "bags_no_mask"]
