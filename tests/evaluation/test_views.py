"""Training views described: which ones, and the overview of the most blurred of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bags.evaluation import views as evaluation
from bags.evaluation.views import PIXEL, agreement, describe_training_views, spread_out
from bags.io.images import image_size
from bags.run.build import build
from bags.run.start import decide
from tests.integration.test_training import settings_of


def test_some_of_a_list_are_spread_over_it() -> None:
    assert spread_out(4, None) == spread_out(4, 9) == [0, 1, 2, 3]
    assert spread_out(23, 4) == [0, 7, 15, 22] and spread_out(5, 1) == [0] and spread_out(5, 0) == []


def test_no_more_views_are_looked_at_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datamodule, module = build(decide(settings_of(tmp_path)))
    module.gaussians.update_filter(datamodule.cameras(2))
    monkeypatch.setattr(evaluation, "OVERVIEW_WIDTH", 24)  # of the 48 x 32 photos
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
    width, height = image_size(tmp_path / "two" / "overview.png")
    assert width == 5 * 24 and 2 * 16 <= height < 2 * 32 + 16
    none = tmp_path / "none" / "train_views"
    assert describe_training_views(module, datamodule, none, limit=0) == {"train_views": []}
    assert not none.parent.exists()


def described(kind: str, true_kind: str, amount: float, direction: float = 0.0) -> dict[str, Any]:
    truth = {"kind": true_kind, "amount": amount, "length": 12 * amount, "direction": 10.0}
    return {"kind": kind, "spread": amount, "direction": direction, "true_blur": truth}


def test_agreement_with_the_true_blur() -> None:
    views = [
        described("sharp", "motion", PIXEL - 0.01),  # narrower than a pixel: sharp is right
        described("sharp", "motion", PIXEL + 0.01, direction=175.0),
        described("defocus", "motion", PIXEL - 0.02),  # but another blur is not
        described("motion", "motion", 2.0, direction=15.0),
    ]
    found = agreement(views)
    assert found["blur_kind_share"] == 0.5
    assert found["blur_rank_correlation"] == pytest.approx(1)
    assert found["blur_direction_error"] == pytest.approx(10)  # of 10, 15, 10 and 5 degrees
    assert agreement([]) == {} and agreement([{"kind": "sharp", "spread": 1.0}]) == {}
