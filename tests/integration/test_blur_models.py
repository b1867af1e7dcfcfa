"""Runs of every blur model, with what else is learned: they resume bit for bit; what was chosen for photos is kept."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bags.datamodules.view_loader import view_at
from bags.modules.auto_blur import BLURRED, SHARP, SHARP_EDGES, Choices
from bags.run import build
from bags.run.start import decide
from bags.schedule import Phase
from tests.integration.test_training import assert_same, resumed_and_whole, run, settings_of, state_of
from tests.integration.test_windows import WINDOWED

RESUMED = {  # model: where it is stopped, and with what it is trained
    "mip_splatting": (21, "model.refine_poses=true"),
    "bags": (23, "model.refine_poses=true", "model.exposure=gain", *WINDOWED),
    "trajectory": (21, "model.refine_poses=true"),
    "lens": (9,),
    "hybrid": (27, "model.exposure=affine"),
    "auto": (9,),
}


@pytest.mark.parametrize("model", RESUMED)
def test_resumed_run_equals_uninterrupted_run(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, *others = RESUMED[model]
    broken, whole = resumed_and_whole(tmp_path, [f"model={model}", *others], [stop], monkeypatch)
    assert (broken.folder / "views.csv").read_text() == (whole.folder / "views.csv").read_text()
    learned = state_of(whole)["state_dict"]
    if "model.refine_poses=true" in others:
        assert (learned["poses.offsets"].abs().amax(dim=1) > 0.01).all()  # of every photo
    if any("exposure" in word for word in others):
        assert learned["corrections.numbers"].any()
    if model in ("trajectory", "hybrid", "auto"):
        assert float(learned["paths.coefficients"].abs().max()) > 0.65  # they start with a deviation of 0.2
    if model in ("lens", "hybrid", "auto"):
        assert float(learned["lenses.numbers"].abs().max()) > 0.3  # and these of 0.1
    with open(whole.folder / "views.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["name"] for row in rows}) == 6
    if model != "bags":  # only kernels have a mask to show
        assert {row["mask"] for row in rows} == {""} and not (whole.folder / "train_views" / "mask").exists()


def test_sharper_photos_and_parts_of_them_count_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datamodule, module = build.build(decide(settings_of(tmp_path, "model=hybrid")))
    module.paths.settle()
    module.paths.coefficients.data.zero_()
    module.lenses.numbers.data.zero_()
    module.lenses.numbers.data[0, 2] = 3.0  # pixels
    early, late = (module.schedule.at(step) for step in (1, module.schedule.total))

    def weights_of(view: int, phase: Phase = late) -> tuple[Tensor | None, Tensor | float]:
        return module.weights_of(module.explain(view_at(datamodule.train, view, phase.scale), phase))

    products = [float((weights * weight).mean()) for weights, weight in map(weights_of, range(6))]
    assert sum(products) == pytest.approx(6) and products[1:] == pytest.approx([10 * products[0]] * 5)
    assert weights_of(0, early) == (None, 1.0)

    module.lenses.numbers.data[0] = torch.tensor([2.0, 0.5, 0.0])
    module.paths.coefficients.data[0, 0, 3] = 1.5  # across
    weights, weight = weights_of(0)
    blur = module.explain(view_at(datamodule.train, 0, late.scale), late).proposal
    near = module.distances[0] / blur.distance
    path = (1.5 * module.gaussians.extent / module.distances[0]) ** 2 / 24
    variance = path + blur.largest_around((2 * (near - 1) + 0.5) ** 2)
    sharpest = 1 + variance.min()  # below, focal lengths are rounded to pixels
    torch.testing.assert_close(weights, sharpest / (1 + variance), rtol=2e-3, atol=0)
    assert float(weights.min()) < 0.8 * float(weights.max())
    middle = 1 / (1 + 0.5**2 + path)
    assert float(weight * sharpest) == pytest.approx(6 / (5 + float(middle)), rel=2e-3)

    batch = replace(view_at(datamodule.train, 0, late.scale), step=module.schedule.total)
    loss = {}
    for factors in ((None, 1.0), (None, 2.0), (0.0, 1.0)):
        monkeypatch.setattr(module, "weights_of", lambda output, factors=factors: factors)
        loss[factors] = module.training_step(batch, 0).item()
    assert loss[None, 2.0] == pytest.approx(2 * loss[None, 1.0]) and loss[0.0, 1.0] == pytest.approx(0, abs=1e-6)


def test_without_a_lens_all_parts_of_a_photo_count_alike(tmp_path: Path) -> None:
    datamodule, module = build.build(decide(settings_of(tmp_path, "model=trajectory")))
    module.paths.settle()
    module.paths.coefficients.data.zero_()
    module.paths.coefficients.data[0, 0, 3] = 3.0  # across, pixels times extents
    late = module.schedule.at(module.schedule.total)
    found = [module.weights_of(module.explain(view_at(datamodule.train, view, 1), late)) for view in range(6)]
    assert all(weights is None for weights, _ in found)
    sharp = 6 / (5 + 1 / (1 + 3**2 / 12 / 2 * float(module.gaussians.extent / module.distances[0]) ** 2))
    shaken = 6 - 5 * sharp
    assert [float(weight) for _, weight in found] == pytest.approx([shaken] + [sharp] * 5, rel=1e-4)


@pytest.mark.parametrize(
    "model, terms", [("mip_splatting", {"photo"}), ("bags", {"photo"}), ("hybrid", {"photo", "edges"})]
)
def test_edges_count_where_path_or_lens_explain_the_blur(model: str, terms: set[str], tmp_path: Path) -> None:
    datamodule, module = build.build(decide(settings_of(tmp_path, f"model={model}")))
    module.training_step(replace(view_at(datamodule.train, 0, 0), step=module.schedule.total), 0)
    assert module.output.losses.keys() == terms


def test_photos_that_are_sharp_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = [0.78] * 6
    monkeypatch.setattr(build, "edge_width", lambda _: widths.pop())
    settings = settings_of(tmp_path, "model=auto")
    run(settings)
    state = state_of(settings)["state_dict"]
    assert state["choices.models"].tolist() == [SHARP] * 6
    none = settings_of(tmp_path, "model=mip_splatting", "model.exposure=gain", "name=none")
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
