"""The share of the gap closed, on hand-made runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.summary.conftest import WriteRun
from tests.summary.test_collect import cells, made

TITLE = "Share of the gap closed"
NONE = "mip_splatting"
Climb = Callable[..., Path]


@pytest.fixture
def climb(write_run: WriteRun) -> Climb:
    """Writes a run on a world: its scene, model, seed and PSNR, and settings of ``dataset.synthetic``."""

    def write(scene: str, model: str, seed: int, psnr: float, **world: Any) -> Path:
        photos = {"blurs": ["motion"], "strength": 1.0, "least": 0.0, "drift": 0.0, "layout": "room", "seed": 21}
        data = {"parser": "synthetic", "factor": 1, "synthetic": photos | world}
        return write_run(f"{scene}-{model}-{seed}", scene, seed, model, psnr, dataset=data)

    return write


def test_share_of_the_gap(climb: Climb, tmp_path: Path) -> None:
    none, sharp, bags = (24.0, 24.2, 24.4), (28.0, 28.4, 27.8), (27.0, 27.4, 27.2)
    for seed in range(3):
        climb("shaken", NONE, seed, none[seed])
        climb("still", NONE, seed, sharp[seed], blurs=["sharp"])
        climb("shaken", "bags", seed, bags[seed])
    tables, problems = made(tmp_path)
    assert not problems
    cell = cells(tables[TITLE], "share of the gap", "shaken")["bags"]
    gap = statistics.mean(sharp) - statistics.mean(none)
    assert cell.mean == pytest.approx(100 * (statistics.mean(bags) - statistics.mean(none)) / gap)
    above = [a - b for a, b in zip(bags, none, strict=True)]
    assert cell.spread == pytest.approx(100 * statistics.stdev(above) / gap) and cell.runs == 3
    assert str(cell) == "78 ± 5"
    assert cells(tables[TITLE], "share of the gap", "shaken")[NONE].mean == 0
    assert cells(tables[TITLE], "gap, dB", "shaken")[NONE].mean == pytest.approx(gap)
    assert cells(tables[TITLE], "gap, dB", "shaken")["bags"].mean is None


def test_a_sharp_world_has_a_difference_and_no_share(climb: Climb, tmp_path: Path) -> None:
    climb("still", NONE, 0, 28.0, blurs=["sharp"])
    climb("still", "bags", 0, 27.93, blurs=["sharp"])
    table = made(tmp_path)[0][TITLE]
    assert [section.title.split(",")[0] for section in table.sections] == [
        "PSNR above no blur model where the gap is below 0.5 dB", "gap",
    ]  # fmt: skip
    assert cells(table, "PSNR above", "still")["bags"].mean == pytest.approx(-0.07)
    assert cells(table, "gap", "still")[NONE].mean == 0


@pytest.mark.parametrize(("top", "divided"), [(24.49, False), (24.51, True), (23.0, False)])
def test_a_gap_too_small_to_divide_by(top: float, divided: bool, climb: Climb, tmp_path: Path) -> None:
    for scene, model, psnr, blurs in (
        ("w", NONE, 24.0, "motion"),
        ("s", NONE, top, "sharp"),
        ("w", "x", 24.3, "motion"),
    ):
        climb(scene, model, 0, psnr, blurs=[blurs])
    sections = {section.title.split(" ")[0]: section for section in made(tmp_path)[0][TITLE].sections}
    rows = {name: [row.name for row in section.rows] for name, section in sections.items()}
    assert ("w" in rows.get("share", [])) == divided and ("w" in rows["PSNR"]) == (not divided)


def test_strength_zero_without_drift_is_sharp_and_drift_is_not(climb: Climb, tmp_path: Path) -> None:
    climb("w", NONE, 0, 24.0, drift=0.5)
    climb("w", "bags", 0, 26.0, drift=0.5)
    climb("still", NONE, 0, 28.0, strength=0)
    climb("unsteady", NONE, 0, 30.0, drift=0.5, strength=0)  # the later of two sharp runs would count
    table = made(tmp_path)[0][TITLE]
    assert cells(table, "share", "w")["bags"].mean == pytest.approx(50)
    assert cells(table, "gap", "unsteady")[NONE].mean == pytest.approx(-2)


def test_another_world_does_not_count_as_the_upper_bound(climb: Climb, tmp_path: Path) -> None:
    climb("w", NONE, 0, 24.0)
    climb("w", "bags", 0, 26.0)
    climb("s", NONE, 0, 28.0, blurs=["sharp"], layout="facade")
    tables, problems = made(tmp_path)
    assert {column: cell.mean for column, cell in cells(tables[TITLE], "gap", "s").items()} == {NONE: 0}
    assert problems == [
        "w: the share of the gap closed needs another run: model=mip_splatting on the same world's sharp photos "
        "(docs/quality.md), seed=0"
    ]


def test_missing_parts_are_reported(climb: Climb, tmp_path: Path) -> None:
    for seed in range(3):
        climb("w", "bags", seed, 26.0 + seed)
    climb("w", NONE, 0, 24.0)
    for seed in (0, 1):
        climb("s", NONE, seed, 28.0, blurs=["sharp"])
    climb("unclimbed", "bags", 0, 20.0, layout="facade")
    tables, problems = made(tmp_path)
    lacks = "w: the share of the gap closed needs another run: model=mip_splatting on"
    assert problems == [
        f"{lacks} the scene's photos, seed=1, seed=2",
        f"{lacks} the same world's sharp photos (docs/quality.md), seed=2",
    ]
    cell = cells(tables[TITLE], "share", "w")["bags"]
    assert (cell.mean, cell.runs) == (50, 1), "seeds that have no lower end are left out"


def test_gap_between_runs_of_different_length_is_reported(climb: Climb, tmp_path: Path) -> None:
    climb("w", NONE, 0, 24.0)
    file = climb("s", NONE, 0, 28.0, blurs=["sharp"]) / "config.yaml"
    file.write_text(file.read_text().replace("steps: null", "steps: 300"))
    assert made(tmp_path)[1] == ["w: the ends of its gap differ in schedule.steps"]


def test_other_data_sets_and_runs_without_test_views_have_no_gap(
    climb: Climb, write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("photos", "garden", model=NONE)
    file = climb("w", NONE, 0, 24.0) / "metrics.json"
    file.write_text(file.read_text().replace("24.0", "null"))
    tables, problems = made(tmp_path)
    assert TITLE not in tables and not problems


def test_kinds_of_blur_are_recognised(climb: Climb, tmp_path: Path) -> None:
    for seed, share in ((0, 0.75), (1, 0.85)):
        file = climb("w", "bags", seed, 24.0) / "metrics.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"blur_kind_share": share}))
    table = made(tmp_path)[0]["Estimated blur of the training photos against the truth"]
    assert str(cells(table, "right kind", "w")["bags"]) == "80 ± 7"
    assert len(table.sections) == 1, "no directions, no amounts"
