"""Every experiment and every scene preset runs, shortened, on a tiny made-up scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from bags.cli import config_folder
from tests.integration.test_training import run, settings_of

EXPERIMENTS = sorted(path.stem for path in (Path(config_folder()) / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_runs(experiment: str, tmp_path: Path) -> None:
    size = ("dataset.synthetic.width=96", "dataset.synthetic.height=64")  # enough for the coarsest scale of any
    settings = settings_of(tmp_path, f"experiment={experiment}", "schedule.steps=4", *size)
    run(settings)
    assert (settings.folder / "metrics.json").is_file()
