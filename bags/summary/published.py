"""Averages beside published ones, one row per method (``published.yaml``)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import yaml

from bags.summary.cells import Cells
from bags.summary.quantities import MINUTES, Quantity, quality
from bags.summary.runs import Run
from bags.summary.table import Cell, Row, Section, Table, mark_best


def beside_published(runs: Sequence[Run]) -> list[Table]:
    """A table, with a row per method, for each set with published averages and runs in that protocol and resolution."""
    published = yaml.safe_load(files("bags.summary").joinpath("published.yaml").read_text(encoding="utf-8"))
    same = published["same"]
    fitting = [run for run in runs if all(run.config.get(key) == value for key, value in same.items())]
    quantities = [*quality(published["protocol"]), MINUTES]
    made = []
    for group in published["sets"]:
        cells = Cells([run for run in fitting if run.scene in group["scenes"]])
        rows, whole = [], []
        for column in cells.columns:
            scenes = [scene for scene in cells.scenes if cells.of(scene, column)]
            name = f"{column} ({len(scenes)} of {len(group['scenes'])} scenes)"
            rows.append(Row(name, tuple(cells.average(scenes, column, quantity) for quantity in quantities)))
            whole.append(len(scenes) == len(group["scenes"]))
        if not rows:
            continue
        rows += [Row(method["name"], published_cells(method)) for method in group["methods"]]
        whole += [True] * len(group["methods"])
        notes = [
            f"Rows without a count of scenes: {published['source']}; {published['protocol']} protocol, "
            f"{', '.join(f'{key}={value}' for key, value in same.items())}, averages over all scenes, "
            f"times on other machines. Only averages over all scenes are compared."
        ]
        notes += [f"{method['name']}: {method['note']}." for method in group["methods"] if "note" in method]
        head = ("method", *(quantity.name for quantity in quantities))
        title = f"Beside published averages, {group['title']}"
        made.append(Table(title, head, (Section("", marked_down(rows, quantities, whole)),), tuple(notes)))
    return made


def published_cells(method: dict[str, Any]) -> tuple[Cell, ...]:
    """Figures of a published method, with the published number of digits; time in minutes."""
    least = {"psnr": 2, "ssim": 3, "lpips": 3, "minutes": 0}
    return tuple(
        Cell(method.get(key), digits=max(digits, len(str(float(method.get(key, 0))).split(".")[1]) if digits else 0))
        for key, digits in least.items()
    )


def marked_down(rows: Sequence[Row], quantities: Sequence[Quantity], whole: Sequence[bool]) -> tuple[Row, ...]:
    """``rows`` with the best of each metric marked; only averages over all scenes count, and times are not compared."""
    down = []
    for i, quantity in enumerate(quantities):
        cells = [row.cells[i] for row in rows]
        down.append(cells if quantity is MINUTES else mark_best(cells, bool(quantity.larger), whole))
    return tuple(Row(row.name, tuple(column[j] for column in down)) for j, row in enumerate(rows))
