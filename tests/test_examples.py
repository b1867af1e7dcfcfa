"""The examples run as they are, with fewer steps, and do what their docstrings say."""

from __future__ import annotations

import ast
import csv
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bags.config import compose
from bags.errors import SettingError
from bags.io.images import image_size

FOLDER = Path(__file__).parents[1] / "examples"
FILES = sorted(FOLDER.glob("*.py"))


def main_of(number: int) -> Callable[..., Any]:
    main: Callable[..., Any] = runpy.run_path(str(FILES[number - 1]))["main"]
    return main


def test_docstrings_are_pages() -> None:
    """A numbered file each, whose docstring has a title, a text, and the command that runs it."""
    for number, path in enumerate(FILES, start=1):
        title, *rest = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")
        assert path.name.startswith(f"{number:02d}_") and title.endswith(".") and "\n" not in title
        assert f"python examples/{path.name}" in "\n\n".join(rest)


def test_train_from_python(tmp_path: Path) -> None:
    folder = main_of(1)(str(tmp_path), steps=6)
    assert image_size(folder / "beside.png") == (2 * 96, 64)
    assert json.loads((folder / "metrics.json").read_text())["seed"] == 1


def test_own_blur_model(tmp_path: Path) -> None:
    """It learns, it is in the checkpoint, and a report that can say nothing of the blur is made all the same."""
    agreement, psnr = main_of(2)(str(tmp_path), steps=12)
    assert -1 <= agreement <= 1 and psnr["one_gaussian"] != psnr["no_blur"]
    folder = tmp_path / "own_blur_model/one_gaussian"
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert bool((state["blur.log_widths"] != 0).any())
    assert (folder / "report.html").is_file() and not (folder / "overview.png").exists()
    with pytest.raises(SettingError, match=r"model\.blur_model = 'no_such': .*trajectory.*register_blur_model"):
        compose("model.blur_model=no_such")


def test_own_dataset(tmp_path: Path) -> None:
    folder = main_of(3)(str(tmp_path), steps=6)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [view["name"] for view in metrics["per_view"]] == ["train_000.png", "train_006.png"]
    assert len(metrics["train_views"]) == 10
    with pytest.raises(SettingError, match=r"dataset\.parser = 'no_such': .*colmap.*register_parser"):
        compose("dataset.parser=no_such", "dataset.root=/photos")


def test_rasteriser(tmp_path: Path) -> None:
    first, last = main_of(4)(str(tmp_path), steps=25)
    assert last > first + 2 and (tmp_path / "rasteriser.png").is_file()


def test_per_pixel_convolution(tmp_path: Path) -> None:
    before, after = main_of(5)(str(tmp_path), steps=25)
    assert after > before + 1 and (tmp_path / "per_pixel_convolution.png").is_file()


def test_results_as_a_data_frame(tmp_path: Path) -> None:
    rows = main_of(6)(str(tmp_path), steps=3)
    assert [row["model"] for row in rows] == ["bags", "mip_splatting"]
    assert all(row["psnr"] > 0 and row["train_seconds"] > 0 and row["steps"] == 3 for row in rows)


def test_sweep(tmp_path: Path) -> None:
    table = main_of(7)(str(tmp_path), steps=3)
    with open(table.with_suffix(".csv"), newline="") as file:
        assert {"bags", "mip_splatting"} <= {cell for row in csv.reader(file) for cell in row}
    assert " ± " in table.read_text(encoding="utf-8")


def test_export_and_look(tmp_path: Path) -> None:
    folder = main_of(8)(str(tmp_path), steps=6)
    made = {path.name for path in (folder / "export/step_6").iterdir()}
    assert {"point_cloud.ply", "point_cloud.spz", "sparse"} == made
    assert (folder / "renders/step_6/ellipse.mp4").stat().st_size > 0
