"""Means, spreads, averages, the best; what is compared and what is not."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from bags.cli import config_folder
from bags.summary import collect
from bags.summary.runs import find_runs
from bags.summary.table import Cell, Table
from tests.summary.conftest import WriteRun

BLUR = "deblur_nerf"


def made(root: Path, columns: Sequence[str] = ("model.name",)) -> tuple[dict[str, Table], list[str]]:
    runs, problems = find_runs(root, ["**"], columns)
    assert not problems
    tables, problems = collect.tables(runs)
    return {table.title: table for table in tables}, problems


def cells(table: Table, section: str, row: str) -> dict[str, Cell]:
    rows = next(s for s in table.sections if s.title.startswith(section)).rows
    return dict(zip(table.head[1:], next(r for r in rows if r.name.startswith(row)).cells, strict=True))


def test_means_and_spreads_over_seeds(write_run: WriteRun, tmp_path: Path) -> None:
    psnr = {("a", 0): 21.0, ("a", 1): 24.0, ("a", 2): 22.5, ("b", 0): 30.0, ("b", 1): 31.0, ("b", 2): 28.0}
    for (scene, seed), value in psnr.items():
        write_run(f"{scene}{seed}", scene, seed, psnr=value)
    tables, problems = made(tmp_path)
    assert not problems
    table = tables[f"Test views, {BLUR} protocol"]
    cell = cells(table, "PSNR", "a")["bags"]
    values = [psnr["a", seed] for seed in range(3)]
    assert (cell.mean, cell.spread, cell.runs) == (statistics.mean(values), statistics.stdev(values), 3)
    assert str(cell) == "22.50 ± 1.50"
    average = cells(table, "PSNR", "average of 2")["bags"]
    by_seed = [(psnr["a", seed] + psnr["b", seed]) / 2 for seed in range(3)]
    assert average.mean == pytest.approx(statistics.mean(psnr.values()))
    assert average.spread == pytest.approx(statistics.stdev(by_seed))
    assert table.notes == ("Means over 3 seeds per cell, ± sample standard deviation.",)
    assert cells(tables["Cost"], "minutes", "a")["bags"].mean == pytest.approx(2.25)
    assert cells(tables["Cost"], "main memory", "a")["bags"].mean == 1.5
    assert [s.title for s in tables["Cost"].sections if s.title.startswith("GPU")] == [], "nothing to show"


def test_the_spread_of_an_average_is_that_of_seeds_with_all_scenes(write_run: WriteRun, tmp_path: Path) -> None:
    for scene, psnr in {"a": [21.0, 24.0, 90.0], "b": [30.0, 31.0]}.items():
        for seed, value in enumerate(psnr):
            write_run(f"{scene}{seed}", scene, seed, psnr=value)
    average = cells(made(tmp_path)[0][f"Test views, {BLUR} protocol"], "PSNR", "average of 2")["bags"]
    assert average.spread == pytest.approx(statistics.stdev([25.5, 27.5]))
    assert (average.mean, average.runs) == (pytest.approx((45 + 30.5) / 2), 5)


def test_figures_after_colour_correction_have_sections_of_their_own(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("plain", model="plain")
    file = write_run("gain", model="gain", psnr=30.0) / "metrics.json"
    metrics = json.loads(file.read_text())
    metrics["protocols"][BLUR] |= {"psnr_colour_corrected": 33.0, "lpips_colour_corrected": None}
    file.write_text(json.dumps(metrics))
    table = made(tmp_path)[0][f"Test views, {BLUR} protocol"]
    found = {column: cell.mean for column, cell in cells(table, "PSNR colour corrected", "a").items()}
    assert found == {"plain": None, "gain": 33.0}
    assert [section.title for section in table.sections] == ["PSNR ↑", "SSIM ↑", "LPIPS ↓", "PSNR colour corrected ↑"]


def test_one_seed_has_no_spread(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("a")
    table = made(tmp_path)[0][f"Test views, {BLUR} protocol"]
    assert str(cells(table, "PSNR", "a")["bags"]) == "20.00"


def test_the_best_of_a_row_is_marked(write_run: WriteRun, tmp_path: Path) -> None:
    for model, psnr in (("x", 20.0), ("y", 25.0), ("z", 25.004)):
        write_run(model, model=model, psnr=psnr)
    tables, _ = made(tmp_path)
    table = tables[f"Test views, {BLUR} protocol"]
    assert [c.best for c in cells(table, "PSNR", "a").values()] == [False, True, True], "the same as shown"
    assert [c.best for c in cells(table, "LPIPS", "a").values()] == [False, False, True]
    assert [c.best for c in cells(tables["Cost"], "minutes", "a").values()] == [True, False, False]
    assert not any(c.best for c in cells(tables["Cost"], "Gaussians", "a").values())


def test_times_of_different_machines_do_not_compete(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("x", model="x")
    file = write_run("y", model="y", psnr=30.0) / "metrics.json"
    file.write_text(file.read_text().replace("a machine", "another machine"))
    cost = made(tmp_path)[0]["Cost"]
    assert not any(c.best for c in cells(cost, "minutes", "a").values())
    assert cost.notes[1] == "Measured on: cpu (a machine); cpu (another machine)."


def test_protocols_are_never_mixed(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("both", model="both")
    folder = write_run("old", model="old")  # from before both protocols were stored
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {"protocol": "mip_splatting", **metrics.pop("protocols")["mip_splatting"]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    tables, _ = made(tmp_path)
    ssim = {p: cells(tables[f"Test views, {p} protocol"], "SSIM", "a") for p in (BLUR, "mip_splatting")}
    assert {column: cell.mean for column, cell in ssim[BLUR].items()} == {"both": 0.4}
    assert (ssim["mip_splatting"]["both"].mean, ssim["mip_splatting"]["old"].mean) == (0.5, 0.5)


def test_averages_are_over_the_same_scenes(write_run: WriteRun, tmp_path: Path) -> None:
    for model, scenes in (("x", {"a": 20.0, "b": 22.0, "c": 40.0}), ("y", {"a": 21.0, "b": 25.0})):
        for scene, psnr in scenes.items():
            write_run(f"{model}{scene}", scene, model=model, psnr=psnr)
    table = made(tmp_path)[0][f"Test views, {BLUR} protocol"]
    average = cells(table, "PSNR", "average of 2: those that all columns have")
    assert (average["x"].mean, average["y"].mean) == (21.0, 23.0)


def test_one_scene_has_no_average(write_run: WriteRun, tmp_path: Path) -> None:
    for name, scene, model in (("xa", "a", "x"), ("xb", "b", "x"), ("ya", "a", "y")):
        write_run(name, scene, model=model)
    table = made(tmp_path)[0][f"Test views, {BLUR} protocol"]
    assert [row.name for row in table.sections[0].rows] == ["a", "b"], "only a has both columns"


def test_a_table_has_the_columns_and_seeds_of_its_own_cells(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("a0", "a", 0)
    write_run("a1", "a", 1)
    file = write_run("photos", "photos", 0, model="auto") / "metrics.json"
    metrics = json.loads(file.read_text())
    for figures in (metrics, *metrics["protocols"].values()):
        figures |= {"psnr": None, "ssim": None, "lpips": None}  # all photos were for training
    file.write_text(json.dumps(metrics))
    tables, _ = made(tmp_path)
    table = tables[f"Test views, {BLUR} protocol"]
    assert [row.name for row in table.sections[0].rows] == ["a"]
    assert table.head == ("scene", "bags"), "no empty column"
    assert tables["Cost"].head == ("scene", "auto", "bags")
    assert table.notes == ("Means over 2 seeds per cell, ± sample standard deviation.",)
    assert tables["Cost"].notes[0] == "Means over 1 to 2 seeds per cell, ± sample standard deviation."


def test_runs_of_different_settings_in_one_cell_are_reported(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("short", seed=0, schedule={"steps": 100})
    write_run("long", seed=1, schedule={"steps": 900})
    _, problems = made(tmp_path)
    assert len(problems) == 1 and "a, bags" in problems[0] and "schedule.steps" in problems[0]
    tables, problems = made(tmp_path, ["model.name", "schedule.steps"])
    assert not problems
    assert tables["Cost"].head == ("scene", "bags, steps=100", "bags, steps=900")


def test_the_later_of_two_equal_runs_counts(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("first", psnr=20.0)
    os.utime(tmp_path / "first" / "metrics.json", (1, 1))
    write_run("second", psnr=30.0)
    tables, problems = made(tmp_path)
    assert len(problems) == 1 and "first is left out" in problems[0] and "second" in problems[0]
    assert cells(tables[f"Test views, {BLUR} protocol"], "PSNR", "a")["bags"].mean == 30.0


MOTION = "Beside published averages, real camera motion blur of Deblur-NeRF"


def sweep(name: str) -> list[str]:
    config = yaml.safe_load((Path(config_folder()) / "experiment" / f"{name}.yaml").read_text())
    return [scene.strip() for scene in config["hydra"]["sweeper"]["params"]["scene"].split(",")]


def test_published_sets_are_those_of_the_experiments() -> None:
    published = yaml.safe_load((Path(collect.__file__).parent / "published.yaml").read_text())
    assert [group["scenes"] for group in published["sets"]] == [sweep("paper_motion"), sweep("paper_defocus")]
    assert "second-hand figures" in published["source"]


def test_beside_the_published_averages(write_run: WriteRun, tmp_path: Path) -> None:
    for scene in sweep("paper_motion"):
        write_run(f"best-{scene}", scene, model="best", psnr=28.0)
    for scene in sweep("paper_motion")[:3]:
        write_run(f"few-{scene}", scene, model="few", psnr=35.0)
    table = made(tmp_path)[0][MOTION]
    rows = {row.name: row.cells for row in table.sections[0].rows}
    assert str(rows["BAGS"][0]) == "26.70" and str(rows["BAGS"][1]) == "0.824" and rows["3DGS"][3].mean is None
    assert rows["best (10 of 10 scenes)"][0].mean == 28.0
    marked = [[row.name for row in table.sections[0].rows if row.cells[i].best] for i in range(4)]
    assert marked == [["best (10 of 10 scenes)"], ["CoMoGaussian (2025)"], ["CoMoGaussian (2025)"], []], (
        "few is partial"
    )
    assert "second-hand figures collected from later papers" in table.notes[0]


def test_another_resolution_is_not_compared_with_the_published(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("whole", "blurball", dataset={"factor": 1})
    assert MOTION not in made(tmp_path)[0]
