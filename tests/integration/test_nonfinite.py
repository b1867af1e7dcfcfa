"""NaN and infinity in a loss or a gradient: left out, counted, and the end of a run that has nothing else."""

from __future__ import annotations

import copy
import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from bags.errors import BagsError
from bags.settings import Settings
from bags.tasks import train
from tests.integration.test_training import assert_same, put_first, settings_of, state_of
from tests.integration.test_views_per_step import callback, command


class Spoil(Callback):
    """Brings in a number that is none, and notes what was there before and after those steps.

    Attributes:
        times: pictures spoiled.
        before, after: (weights and Adam's state, Gaussians' statistics) around the first spoiled step.
    """

    def __init__(self, what: str, steps: range, value: float = math.nan) -> None:
        self.what, self.steps, self.value = what, steps, value
        self.times = 0
        self.before: Any = None
        self.after: Any = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step in self.steps and self.before is None:
            self.before = noted(trainer, pl_module)
        if batch.step in self.steps and self.what in ("picture", batch.name):
            batch.image[0, 5, 5] = self.value
            self.times += 1

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if pl_module.output.phase.step in self.steps and self.what == "gradient":
            pl_module.gaussians.sh_dc.grad[0, 0, 1] = self.value

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch.step in self.steps and self.after is None:
            self.after = noted(trainer, pl_module)


class SpoilRank(Callback):
    """Spoils the picture of one process at one step."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank, self.step = rank, step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == self.rank and batch.step == self.step:
            batch.image[0, 5, 5] = math.nan


def noted(trainer: Any, module: Any) -> Any:
    return copy.deepcopy((module.state_dict(), trainer.optimizers[0].state_dict()["state"]))


def spoiled(root: Path, spoil: Spoil, patch: pytest.MonkeyPatch, *overrides: str) -> Settings:
    """A run of 30 steps whose first edits of Gaussians are far off."""
    settings = settings_of(
        root, "schedule.steps=30", "schedule.shortest_densify_from=25", "output.images_every=null",
        "dataset.synthetic.train_views=3", "dataset.synthetic.test_views=1", "output.report=false", *overrides,
    )  # fmt: skip
    with patch.context() as inside:
        put_first(spoil, inside)
        train.run(settings)
    return settings


@pytest.mark.parametrize("what", ["picture", "gradient"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_step_changes_nothing(
    what: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil = Spoil(what, range(14, 15), value)
    settings = spoiled(tmp_path, spoil, monkeypatch, "schedule.steps=20")
    assert_same(spoil.before, spoil.after)
    assert json.loads((settings.folder / "metrics.json").read_text())["steps_skipped"] == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "skipped" in said and "step 14, view train_" in said and "(1 so far)" in said
    with open(settings.folder / "history.csv", newline="") as file:
        assert all(math.isfinite(float(row["loss"])) for row in csv.DictReader(file))
    assert state_of(settings)["callbacks"]["SkipNonFinite"] == {"skipped": 1, "since": None}


def test_one_bad_view_costs_its_own_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil = Spoil("train_001.png", range(1, 31))
    settings = spoiled(tmp_path, spoil, monkeypatch)
    assert json.loads((settings.folder / "metrics.json").read_text())["steps_skipped"] == spoil.times > 3
    said = " ".join(capsys.readouterr().err.split())
    assert "view train_001.png (" in said and "train_000.png" not in said


@pytest.mark.parametrize("what", ["picture", "gradient"])
def test_run_of_only_non_finite_steps_stops_with_diagnosis_and_valid_checkpoint(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil = Spoil(what, range(14, 99))
    named = {"gradient": r"gaussians\.sh_dc \(1 of 600\)", "picture": r"gaussians\.means .* and \d+ more"}[what]
    words = rf"stopped at step 20: .* since step 14, at step 20 with view train_.*gradient of: {named}.*ckpt_path="
    with pytest.raises(BagsError, match=words):
        spoiled(tmp_path, spoil, monkeypatch, "optim.most_skipped=7")  # from 14 to 20
    settings = settings_of(tmp_path)
    saved = state_of(settings)
    assert saved["global_step"] == 20 and not (settings.folder / "metrics.json").exists()
    assert_same(spoil.before[1], saved["optimizer_states"][0]["state"])
    for name in ("gaussians.means", "gaussians.sh_dc", "gaussians.gradient_sum"):
        assert torch.equal(spoil.before[0][name], saved["state_dict"][name])


def test_non_finite_state_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Break(Spoil):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch.step == 14:
                pl_module.bpn.embedding.weight.data[:, 0] = math.nan

    with pytest.raises(BagsError, match=r"also in the values of: bpn\.embedding\.weight \(3 of 96\)\. Earlier"):
        spoiled(tmp_path, Break("", range(0)), monkeypatch, "output.checkpoint_every=12")
    assert state_of(settings_of(tmp_path))["global_step"] == 12


def test_processes_leave_out_the_same_step(tmp_path: Path) -> None:
    two = ("trainer=ddp", "schedule.steps=6", "output.report=false")
    done = command(tmp_path, *two, *callback(SpoilRank, rank=1, step=3))
    assert done.returncode == 0, done.stdout
    metrics = json.loads(next(tmp_path.rglob("metrics.json")).read_text())
    assert metrics["steps_skipped"] == 1
