"""Runs by scene and column: the runs of each cell, with their mean and spread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bags.summary.quantities import Quantity
from bags.summary.runs import Run
from bags.summary.table import Cell, cell

# Settings that may differ between runs of one cell, because they do not affect what is learned.
BOOKKEEPING = (
    "seed", "name", "group", "task", "output_root", "ckpt_path", "dataset.root",
    "paths.", "output.", "metrics.", "logger.", "callbacks.", "render.", "benchmark.", "summarize.",
    "trainer.accelerator", "trainer.threads", "trainer.progress",
)  # fmt: skip
REMEDY = "; separate them with summarize.columns"


class Cells:
    """The runs by scene and column; runs of a cell differ only in their seed."""

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
        """The runs of a cell, one per seed."""
        return list(self.runs.get((scene, column), {}).values())

    def cell(self, scene: str, column: str, quantity: Quantity) -> Cell:
        """Mean and spread over the seeds."""
        return cell([quantity.of(run) for run in self.of(scene, column)], quantity.digits)

    def average(self, scenes: Sequence[str], column: str, quantity: Quantity) -> Cell:
        """Mean of the scenes' means; the spread is that of the averages of seeds that have all scenes."""
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
    """Settings in which runs differ, without ``BOOKKEEPING``."""
    common = set.intersection(*(set(run.config) for run in runs))
    return sorted(
        key
        for key in common
        if not key.startswith(BOOKKEEPING) and any(run.config[key] != runs[0].config[key] for run in runs)
    )
