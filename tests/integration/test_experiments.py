"""Every experiment and every scene preset runs, shortened, on a tiny made-up scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from bags.cli import config_folder
from tests.integration.test_training import run, settings_of

EXPERIMENTS = sorted(path.stem for path in (Path(config_folder()) / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_runs(experiment: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, f"experiment={experiment}", "schedule.steps=4")
    run(settings)
    assert (settings.folder / "metrics.json").is_file()


def test_the_paper_is_untouched() -> None:
    """docs/method.md sections 3 and 4: what ``experiment=paper`` must mean for a benchmark scene."""
    settings = settings_of(Path("x"), "scene=blurball", "dataset.root=/x", "experiment=paper", "schedule.steps=null")
    bpn = settings.model.bpn
    assert (bpn.margin, bpn.bfloat16, bpn.fit_to_width, bpn.mask_bias) == (False, False, None, 0.0)
    assert (settings.loss.ssim, settings.loss.mask, settings.optim.bpn) == (0.2, 0.001, 5e-4)
    assert (settings.schedule.iterations, settings.schedule.ms_steps) == (49_000, 9_000)
    assert settings.schedule.sharp_after_restart and settings.schedule.sharp_steps == 250
    assert (settings.densify.gradient, settings.densify.init_gradient) == (2e-4, 8e-4)
    assert (settings.densify.min_opacity, settings.densify.prune_screen) == (0.1, None)
