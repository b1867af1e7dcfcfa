"""Training views described: which ones, and the sheets that sum them up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bags.datamodules.synthetic import make_synthetic_scene
from bags.evaluation import sheets
from bags.evaluation.sheets import before_after, of_each_kind, write_sheets
from bags.evaluation.views import PIXEL, agreement, describe_training_views, spread_out, stem
from bags.io.images import LABEL_HEIGHT, image_size, read_image, write_png
from bags.run.build import build
from bags.run.start import decide
from bags.settings import SyntheticSettings
from tests.integration.test_training import settings_of
from tests.standins import built_in


def test_some_of_a_list_are_spread_over_it() -> None:
    assert spread_out(4, None) == spread_out(4, 9) == [0, 1, 2, 3]
    assert spread_out(23, 4) == [0, 7, 15, 22] and spread_out(5, 1) == [0] and spread_out(5, 0) == []


def test_no_more_views_are_looked_at_than_asked_for(tmp_path: Path) -> None:
    datamodule, module = build(decide(settings_of(tmp_path)))
    module.gaussians.update_filter(datamodule.cameras(2))
    names = [view.name for view in datamodule.scene.train]
    everything = describe_training_views(module, datamodule)["train_views"]
    assert [view["name"] for view in everything] == names
    folder = tmp_path / "two" / "train_views"
    some = describe_training_views(module, datamodule, folder, limit=2)["train_views"]
    ranks = [view.pop("rank") for view in some]
    assert sorted(ranks) == [1, 2] and [{**view, "rank": None} for view in some] == [
        {**everything[place], "rank": None} for place in (0, -1)
    ]
    for kind in ("photo", "prediction", "sharp", "mask", "kernels"):
        assert sorted(path.stem for path in (folder / kind).iterdir()) == [Path(n).stem for n in (names[0], names[-1])]
    none = tmp_path / "none" / "train_views"
    assert describe_training_views(module, datamodule, none, limit=0) == {"train_views": []}
    assert not none.parent.exists()


def blurred(name: str, kind: str, spread: float) -> dict[str, Any]:
    return {"name": name, "kind": kind, "spread": spread, "mask": 0.5}


def write_pictures(folder: Path, name: str) -> None:
    for number, kind in enumerate(("photo", "sharp", "prediction", "mask", "kernels")):
        write_png(folder / "train_views" / kind / f"{stem(name)}.png", torch.full((3, 32, 48), number / 4))


def test_sheets_show_the_most_blurred_and_all_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "OVERVIEW_WIDTH", 24)
    scene = built_in(48, 32).train
    kinds = ("motion", "sharp", "motion", "defocus", "sharp")
    found = [blurred(scene[i].name, kind, float(i)) for i, kind in enumerate(kinds)]
    for entry in found:
        write_pictures(tmp_path, entry["name"])
    write_sheets(tmp_path, found, scene)
    assert image_size(tmp_path / "overview.png") == (5 * 24, 4 * (16 + LABEL_HEIGHT))
    assert image_size(tmp_path / "kernels.png") == (3 * 24, 2 * (16 + LABEL_HEIGHT))
    # Two kinds, with truth: 1600 pixels have room for more, but 48 pixels are enlarged four times at most.
    assert image_size(tmp_path / "before_after.png") == (3 * 192, 2 * (128 + LABEL_HEIGHT))
    chosen = of_each_kind(sorted(found, key=lambda entry: -entry["spread"]))
    assert [entry["name"] for entry in chosen] == [scene[3].name, scene[2].name]
    truth = np.asarray(read_image(tmp_path / "before_after.png"))[LABEL_HEIGHT : LABEL_HEIGHT + 128, 384:]
    assert scene[3].sharp is not None
    assert (truth == np.asarray(scene[3].sharp()).repeat(4, axis=0).repeat(4, axis=1)).all()
    unknown = [replace(view, sharp=None) for view in scene]
    assert before_after(tmp_path / "train_views", chosen, unknown).shape[2] == 2 * 192
    for width, each in ((2 * 150, 144), (2 * 95, 48), (2 * 40, 40)):  # room for three times, once, and less
        monkeypatch.setattr(sheets, "COMPARED_WIDTH", width)
        assert before_after(tmp_path / "train_views", chosen, unknown).shape[2] == 2 * each
    assert [entry["name"] for entry in of_each_kind(found[1:2])] == [scene[1].name]  # all sharp: one of them
    write_sheets(tmp_path, [{**entry, "mask": None} for entry in found], scene)
    assert image_size(tmp_path / "overview.png") == (4 * 24, 4 * (16 + LABEL_HEIGHT)), "no column of masks"
    write_sheets(tmp_path / "none", [{"name": "a.png"}], scene)
    assert not (tmp_path / "none").exists()


def test_the_pictures_in_the_readme_stay_small() -> None:
    """``make pictures`` makes them; a checkout carries every version."""
    pictures = list((Path(__file__).parents[2] / "docs" / "images").iterdir())
    assert pictures and sum(picture.stat().st_size for picture in pictures) < 500_000


def test_the_truth_of_a_photo_without_blur_is_the_photo() -> None:
    scene = make_synthetic_scene(SyntheticSettings(width=48, height=32, train_views=2, strength=0, drift=1, samples=4))
    for view in scene.train:
        assert view.sharp is not None and (np.asarray(view.sharp()) == np.asarray(view.load())).all()


def described(kind: str, true_kind: str, amount: float, direction: float = 0.0) -> dict[str, Any]:
    truth = {"kind": true_kind, "amount": amount, "length": 12 * amount, "direction": 10.0}
    return {"kind": kind, "spread": amount, "direction": direction, "true_blur": truth}


def test_agreement_with_the_true_blur() -> None:
    views = [
        described("sharp", "motion", PIXEL - 0.01),  # narrower than a pixel: sharp is right
        described("sharp", "motion", PIXEL + 0.01, direction=175.0),
        described("defocus", "motion", PIXEL - 0.02, direction=170.0),  # but another blur is not
        described("motion", "motion", 2.0, direction=15.0),
    ]
    found = agreement(views)
    assert found["blur_kind_share"] == 0.5
    assert found["blur_rank_correlation"] == pytest.approx(1)
    assert found["blur_direction_error"] == pytest.approx(12.5)  # of 10, 15, 20 and 5 degrees
    assert agreement([]) == {} and agreement([{"kind": "sharp", "spread": 1.0}]) == {}
