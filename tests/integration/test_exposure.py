"""Runs that correct the photos' exposure: the drift is found, and nothing else is disturbed."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest
import torch

from bags.run.build import build
from bags.run.start import decide
from bags.settings import Settings
from bags.tasks import evaluate
from tests.integration.test_nonfinite import Spoil, spoiled
from tests.integration.test_training import assert_same, run, settings_of, state_of

DRIFTING = (
    "model=mip_splatting", "dataset.synthetic.layout=facade", "dataset.synthetic.drift=0.5",
    "dataset.synthetic.strength=0", "dataset.synthetic.points=1000", "schedule.steps=200",
    "schedule.shortest_opacity_reset_every=1000", "schedule.shortest_densify_from=1000",
    "output.images_every=null", "output.time_lapse=0", "output.report=false",
)  # fmt: skip


def rows_of(settings: Settings) -> list[dict[str, str]]:
    with open(settings.folder / "views.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind, rate", [("gain", 0.02), ("affine", 0.005)])
def test_the_drift_of_the_exposure_is_found(kind: str, rate: float, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, *DRIFTING, f"model.exposure={kind}", f"optim.exposure={rate}")
    run(settings)
    rows = rows_of(settings)
    pairs = [(float(row["exposure"]), float(row["true_exposure"])) for row in rows]
    found, true = zip(*pairs, strict=True)
    assert statistics.correlation(found, true) > 0.95
    assert max(abs(a - b) for a, b in pairs) < 0.5 * max(map(abs, true))
    numbers = state_of(settings)["state_dict"]["corrections.numbers"]
    assert len(numbers) == 6 and numbers.abs().max() > 0.05
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    for view in [*metrics["per_view"], *metrics["protocols"]["mip_splatting"]["per_view"]]:
        assert view["psnr_colour_corrected"] > view["psnr"]
    assert {"ssim_colour_corrected", "lpips_colour_corrected"} <= metrics.keys()


def test_without_it_there_is_nothing_of_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, *DRIFTING, "schedule.steps=5")
    run(settings)
    saved = state_of(settings)
    assert not any(name.startswith("corrections") for name in saved["state_dict"])
    assert "exposure" not in [group["name"] for group in saved["optimizer_states"][0]["param_groups"]]
    assert all(row["exposure"] == "" and float(row["true_exposure"]) for row in rows_of(settings))
    assert "psnr_colour_corrected" not in json.loads((settings.folder / "metrics.json").read_text())
    evaluate.run(settings_of(tmp_path, *DRIFTING, "schedule.steps=5", "metrics.colour_corrected=true"))
    assert "psnr_colour_corrected" in json.loads((settings.folder / "metrics.json").read_text())


@pytest.mark.parametrize("kind, model", [("gain", "mip_splatting"), ("affine", "bags"), ("gain", "trajectory")])
def test_the_first_step_sees_what_it_would_without(kind: str, model: str, tmp_path: Path) -> None:
    seen = []
    for exposure in ("off", kind):
        datamodule, module = build(decide(settings_of(tmp_path, f"model={model}", f"model.exposure={exposure}")))
        module.gaussians.update_filter(datamodule.cameras(2))
        seen.append(module.explain(next(iter(datamodule.train_views_dataloader())), module.schedule.at(40)).prediction)
    assert torch.equal(*seen)


def test_a_skipped_step_leaves_the_corrections_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = Spoil("picture", range(14, 15))
    settings = spoiled(tmp_path, spoil, monkeypatch, "schedule.steps=20", "model.exposure=gain")
    assert_same(spoil.before, spoil.after)
    assert spoil.before[0]["corrections.numbers"].any()
    assert json.loads((settings.folder / "metrics.json").read_text())["steps_skipped"] == 1


def test_other_pictures_keep_the_scenes_exposure(tmp_path: Path) -> None:
    datamodule, module = build(decide(settings_of(tmp_path, "model=mip_splatting", "model.exposure=gain")))
    module.gaussians.update_filter(datamodule.cameras(2))
    view = next(iter(datamodule.train_views_dataloader()))
    before = module.render(view.camera).rgb
    corrections = module.corrections
    assert corrections is not None
    corrections.numbers.data[view.index] = 1.0
    phase = module.schedule.at(40)
    assert torch.equal(module.render(view.camera).rgb, before)
    whole = module.explain_whole(view, phase)
    assert torch.equal(whole.sharp, before)
    torch.testing.assert_close(whole.prediction, corrections(view.index, before))
    assert whole.prediction.mean() > before.mean() + 0.01
