"""Runs with the camera's path, and with a choice for each photo: they resume bit for bit, and the choice is kept."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from bags.callbacks import choose_blur
from bags.modules.auto_blur import BY_KIND, KERNELS, SHARP, Choices
from tests.integration.test_training import assert_same, run, settings_of, state_of

KINDS = ["motion", "defocus", "motion", "sharp", "low_resolution", "motion"]


@pytest.mark.parametrize("model, stop", [("trajectory", 21), ("auto", 9), ("auto", 27)])
def test_resumed_run_equals_uninterrupted_run(
    model: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``auto`` is stopped before and after the choice, which runs this short would leave to chance."""
    monkeypatch.setattr(choose_blur, "kinds_of_blur", lambda *_: KINDS)
    whole, broken = (settings_of(tmp_path, f"model={model}", f"name={name}") for name in ("whole", "broken"))
    run(whole)
    run(broken, stop, monkeypatch)
    run(settings_of(tmp_path, f"model={model}", "name=broken", "ckpt_path=last"))
    one, other = state_of(whole), state_of(broken)
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert_same(one[key], other[key], key)
    assert float(one["state_dict"]["paths.coefficients"].abs().max()) > 8e-3  # they start with a deviation of 2e-3
    if model == "auto":
        by_kind = {**BY_KIND, "sharp": KERNELS}  # one sharp photo among others is left to its kernels
        assert one["state_dict"]["choices.models"].tolist() == [by_kind[kind] for kind in KINDS]
        with open(whole.folder / "views.csv", newline="") as file:
            kinds = {row["name"]: row["kind"] for row in csv.DictReader(file)}
        assert {kinds[f"train_{index:03d}.png"] for index in (0, 2, 5)} <= {"motion", "sharp"}


def test_only_photos_with_a_path_teach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_blur, "kinds_of_blur", lambda *_: KINDS)
    settings = settings_of(tmp_path, "model=auto")
    run(settings)
    state = state_of(settings)["state_dict"]["paths.coefficients"]
    untouched = settings_of(tmp_path, "model=auto", "schedule.steps=2", "name=short")
    run(untouched)
    start = state_of(untouched)["state_dict"]["paths.coefficients"]
    same = [torch.equal(state[index], start[index]) for index in range(len(KINDS))]
    assert same == [kind != "motion" for kind in KINDS]


@pytest.mark.parametrize("sharp, expected", [(20, SHARP), (18, SHARP), (17, KERNELS)])
def test_photos_count_as_sharp_if_nearly_all_are(sharp: int, expected: int) -> None:
    choices = Choices(20)
    assert not choices.made
    choices.choose(["sharp"] * sharp + ["defocus"] * (20 - sharp))
    assert choices.made and choices.listed == [expected] * sharp + [KERNELS] * (20 - sharp)
    again = Choices(20)
    again.load_state_dict(choices.state_dict())
    assert again.listed == choices.listed
