"""Runs with the camera's path and lens: they resume bit for bit, and what was chosen for the photos is kept."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bags.modules.auto_blur import BLURRED, SHARP, SHARP_EDGES, Choices
from bags.run import build
from tests.integration.test_training import assert_same, resumed_and_whole, run, settings_of, state_of


@pytest.mark.parametrize("model, stop", [("trajectory", 21), ("lens", 9), ("hybrid", 27), ("auto", 9)])
def test_resumed_run_equals_uninterrupted_run(
    model: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = resumed_and_whole(tmp_path, [f"model={model}"], stop, monkeypatch)
    learned = state_of(whole)["state_dict"]
    if model != "lens":
        assert float(learned["paths.coefficients"].abs().max()) > 0.65  # they start with a deviation of 0.2
    if model != "trajectory":
        assert float(learned["lenses.numbers"].abs().max()) > 0.35  # and these of 0.1
    with open(whole.folder / "views.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["name"] for row in rows}) == 6
    # There is no mask to show.
    assert {row["mask"] for row in rows} == {""} and not (whole.folder / "train_views" / "mask").exists()


@pytest.mark.parametrize("model", ["mip_splatting", "bags", "trajectory"])
def test_refined_poses_resume_too(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = resumed_and_whole(tmp_path, [f"model={model}", "model.refine_poses=true"], 21, monkeypatch)
    assert (state_of(whole)["state_dict"]["poses.offsets"].abs().amax(dim=1) > 0.01).all()  # of every photo


def test_photos_that_are_sharp_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = [0.78] * 6
    monkeypatch.setattr(build, "edge_width", lambda _: widths.pop())
    settings = settings_of(tmp_path, "model=auto")
    run(settings)
    state = state_of(settings)["state_dict"]
    assert state["choices.models"].tolist() == [SHARP] * 6
    none = settings_of(tmp_path, "model=mip_splatting", "name=none")
    run(none)
    for name, value in state_of(none)["state_dict"].items():
        assert_same(state[name], value, name)
    with open(settings.folder / "views.csv", newline="") as file:
        assert {row["kind"] for row in csv.DictReader(file)} == {"sharp"}


def test_which_photos_are_blurred() -> None:
    narrow, wide = SHARP_EDGES, SHARP_EDGES + 0.01
    choices = Choices(20)
    assert not choices.made
    choices.choose([narrow] * 17 + [wide] * 3)
    assert choices.made and choices.listed == [SHARP] * 17 + [BLURRED] * 3
    again = Choices(20)
    again.load_state_dict(choices.state_dict())
    assert again.listed == choices.listed
    choices.choose([narrow] * 16 + [wide] * 4)  # not sharp as a scene: then no photo is
    assert choices.listed == [BLURRED] * 20
    choices.choose([narrow] * 9 + [None] * 10 + [wide])  # nine of ten that tell
    assert choices.listed == [SHARP] * 19 + [BLURRED]
    choices.choose([None] * 20)
    assert choices.listed == [BLURRED] * 20
