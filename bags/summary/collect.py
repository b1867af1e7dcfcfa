"""From runs to tables: scenes down, models or experiments across; published averages in tables of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

import yaml

from bags.summary.runs import Run
from bags.summary.table import Cell, Row, Section, Table, cell, mark_best

# Settings that may differ between runs of one cell: where things are and what is written, not what is learnt.
BOOKKEEPING = (
    "seed", "name", "group", "task", "output_root", "ckpt_path", "dataset.root",
    "paths.", "output.", "metrics.", "logger.", "callbacks.", "render.", "benchmark.", "summarize.",
    "trainer.accelerator", "trainer.threads", "trainer.progress",
)  # fmt: skip
REMEDY = ": tell them apart with summarize.columns"


@dataclass(frozen=True)
class Quantity:
    """Something that runs are compared by.

    Attributes:
        name: as shown, with an arrow towards the better.
        of: its value in a run; None where the run has none.
        digits: after the point.
        larger: is better; None: neither is.
    """

    name: str
    of: Callable[[Run], float | None]
    digits: int
    larger: bool | None


def figure(protocol: str, key: str, run: Run) -> float | None:
    """A metric of one protocol; None where the run was not judged by it."""
    return run.figures.get(protocol, {}).get(key)


def cost(key: str, unit: float, run: Run) -> float | None:
    """What a run took, in units of ``unit``."""
    value = run.costs[key]
    return None if value is None else value / unit


def quality(protocol: str) -> list[Quantity]:
    """The three metrics by ``protocol``."""
    return [
        Quantity("PSNR ↑", partial(figure, protocol, "psnr"), 2, True),
        Quantity("SSIM ↑", partial(figure, protocol, "ssim"), 4, True),
        Quantity("LPIPS ↓", partial(figure, protocol, "lpips"), 4, False),
    ]


MINUTES = Quantity("minutes ↓", partial(cost, "train_seconds", 60), 1, False)
COSTS = [
    MINUTES,
    Quantity("main memory, GB ↓", partial(cost, "peak_memory_mb", 1e3), 2, False),
    Quantity("GPU memory, GB ↓", partial(cost, "gpu_memory_mb", 1e3), 2, False),
    Quantity("Gaussians, thousands", partial(cost, "num_gaussians", 1e3), 1, None),
]


class Cells:
    """The runs by scene and column; runs of a cell differ in their seed."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.problems: list[str] = []
        found: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
        for run in sorted(runs, key=lambda run: run.finished):
            seeds = found[run.scene, run.column]
            if run.seed in seeds:
                keys = differing([seeds[run.seed], run])
                self.problems.append(
                    f"{seeds[run.seed].folder} is left out: {run.folder} is a later run of the same scene, seed and "
                    f"column ({run.column})" + (f"; they differ in {', '.join(keys)}{REMEDY}" if keys else "")
                )
            seeds[run.seed] = run
        self.runs = found
        self.scenes = sorted({scene for scene, _ in found})
        self.columns = sorted({column for _, column in found})
        for (scene, column), seeds in found.items():
            if keys := differing(list(seeds.values())):
                self.problems.append(
                    f"{scene}, {column}: these runs differ in more than their seed: {', '.join(keys)}{REMEDY}"
                )

    def of(self, scene: str, column: str) -> list[Run]:
        """The runs of a cell, one a seed."""
        return list(self.runs.get((scene, column), {}).values())

    def cell(self, scene: str, column: str, quantity: Quantity) -> Cell:
        """Mean and spread over the seeds."""
        return cell([quantity.of(run) for run in self.of(scene, column)], quantity.digits)

    def average(self, scenes: Sequence[str], column: str, quantity: Quantity) -> Cell:
        """Mean of the scenes' means; its spread is that of the seeds' averages, over seeds that have all scenes."""
        means = [self.cell(scene, column, quantity) for scene in scenes]
        if not means or any(c.mean is None for c in means):
            return Cell(None, digits=quantity.digits)
        by_seed: dict[int, list[float]] = defaultdict(list)
        for scene in scenes:
            for run in self.of(scene, column):
                if (value := quantity.of(run)) is not None:
                    by_seed[run.seed].append(value)
        whole = [sum(values) / len(values) for values in by_seed.values() if len(values) == len(scenes)]
        mean = sum(c.mean or 0.0 for c in means) / len(means)
        return Cell(mean, cell(whole, 0).spread, sum(c.runs for c in means), quantity.digits)


def differing(runs: Sequence[Run]) -> list[str]:
    """Settings in which runs differ, bookkeeping aside."""
    common = set.intersection(*(set(run.config) for run in runs))
    return sorted(
        key
        for key in common
        if not key.startswith(BOOKKEEPING) and any(run.config[key] != runs[0].config[key] for run in runs)
    )


def section(cells: Cells, quantity: Quantity, marked: bool = True) -> Section | None:
    """Scenes down, columns across, and the average over the scenes that every column has; None without any value."""

    def row(name: str, found: list[Cell]) -> Row:
        larger = quantity.larger
        return Row(name, tuple(found) if larger is None or not marked else mark_best(found, larger))

    table = {s: [cells.cell(s, column, quantity) for column in cells.columns] for s in cells.scenes}
    used = [i for i in range(len(cells.columns)) if any(found[i].mean is not None for found in table.values())]
    if not used:
        return None
    rows = [row(scene, found) for scene, found in table.items() if any(c.mean is not None for c in found)]
    shared = [scene for scene, found in table.items() if all(found[i].mean is not None for i in used)]
    if len(rows) > 1 and shared:
        name = f"average of {len(shared)}" + ("" if len(shared) == len(rows) else ": those that all columns have")
        rows.append(row(name, [cells.average(shared, column, quantity) for column in cells.columns]))
    return Section(quantity.name, tuple(rows))


def tables(runs: Sequence[Run]) -> tuple[list[Table], list[str]]:
    """All tables of ``runs``: one for each protocol, one of the cost, one for each set with published averages.

    Returns:
        The tables, and lines about runs that were left out or should not share a cell.
    """
    cells = Cells(runs)
    kept = [run for seeds in cells.runs.values() for run in seeds.values()]
    head = ("scene", *cells.columns)
    counts = sorted({len(seeds) for seeds in cells.runs.values()})
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    note = f"Means over {seeds} a cell" + (", ± sample standard deviation." if counts[-1] > 1 else ".")
    made = []
    for protocol in sorted({protocol for run in kept for protocol in run.figures}):
        sections = [s for q in quality(protocol) if (s := section(cells, q))]
        if sections:
            made.append(Table(f"Test views, {protocol} protocol", head, tuple(sections), (note,)))
    devices = sorted({run.device for run in kept})
    costs = [s for q in COSTS if (s := section(cells, q, marked=len(devices) == 1))]
    if costs:
        made.append(Table("Cost", head, tuple(costs), (note, f"Measured on: {'; '.join(devices)}.")))
    return made + beside_published(kept), cells.problems


def beside_published(runs: Sequence[Run]) -> list[Table]:
    """For each set with published averages of which there are runs in that protocol and resolution: a row a method."""
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
    """A published method's figures, with the digits they were given with; time in minutes."""
    least = {"psnr": 2, "ssim": 3, "lpips": 3, "minutes": 0}
    return tuple(
        Cell(method.get(key), digits=max(digits, len(str(float(method.get(key, 0))).split(".")[1]) if digits else 0))
        for key, digits in least.items()
    )


def marked_down(rows: Sequence[Row], quantities: Sequence[Quantity], whole: Sequence[bool]) -> tuple[Row, ...]:
    """``rows`` with the best of each metric marked; only whole averages count, and times never (other machines)."""
    down = []
    for i, quantity in enumerate(quantities):
        cells = [row.cells[i] for row in rows]
        down.append(cells if quantity is MINUTES else mark_best(cells, bool(quantity.larger), whole))
    return tuple(Row(row.name, tuple(column[j] for column in down)) for j, row in enumerate(rows))
