"""A long training of a tiny scene: memory, handles, threads and the time of a step stay what they are.

Every ``EVERY`` steps the process notes what it uses. What is judged is the part after the last densification, where
nothing grows that should: a line is fitted to the resident memory, handles and threads are compared, and so is the
processor time of a step, which other work on the machine disturbs less than the clock's.
"""

from __future__ import annotations

import csv
import gc
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback

from tests.faults.runs import Run
from tests.faults.tally import Tally

EVERY = 250  # steps between two notes
MOST_GROWTH = 5.0  # MB of resident memory over the judged part, by the fitted line
MOST_SLOWING = 1.2  # processor time of a step, the judged part's last third against its first
SCENE = (
    "dataset.synthetic.width=32", "dataset.synthetic.height=32", "dataset.synthetic.points=100",
    "model.gaussians.max_count=300", "schedule.iterations=20000", "schedule.ms_steps=6000",
    "schedule.scale_starts=[1,2000,4000]", "schedule.densify_until=6000", "model.bpn.kernels=[3,3,3]",
    "output.images_every=500", "output.checkpoint_every=500",
)  # fmt: skip
DENSIFIED = 0.6  # part of the run after which nothing densifies: ms_steps + densify_until, of iterations
Row = dict[str, float]


class Notes(Callback):
    """Writes what the process uses into a table, a row at a time."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self._since = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (batch.step - 1) % self.every or batch.step == 1:
            if batch.step == 1:
                self._since = time.process_time()
            return
        now = time.process_time()
        gc.collect()  # what Python would free sooner or later is no leak
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        row = {
            "step": batch.step - 1,
            "resident_mb": round(resident, 2),
            "handles": len(os.listdir("/proc/self/fd")),
            "threads": len(os.listdir("/proc/self/task")),
            "step_ms": round(1000 * (now - self._since) / self.every, 3),
            "gaussians": len(pl_module.gaussians),
        }
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if not file.tell():
                writer.writeheader()
            writer.writerow(row)
        self._since = time.process_time()


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Train ``count`` steps; ``folder`` then holds the notes as ``long_load.csv`` and drawn as ``long_load.svg``."""
    table = folder / "long_load.csv"
    folder.mkdir(parents=True, exist_ok=True)
    table.unlink(missing_ok=True)
    training = Run(
        folder / "long_load", *SCENE, f"schedule.steps={count}", f"seed={seed}", injected=[Notes(table, EVERY)]
    )
    if status := training.wait():
        return Tally("long load", 1, 0, [f"ended with {status}: {training.said[-500:]}"])
    with open(table, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    (folder / "long_load.svg").write_text(drawn(rows))
    lost = judged([row for row in rows if row["step"] > DENSIFIED * count])
    return Tally(f"long load, {count} steps: memory, handles, threads, time", 4, 4 - len(lost), lost)


def judged(rows: Sequence[Row]) -> list[str]:
    """What is wrong with a run, by its ``rows`` after the last densification."""
    lost = []
    if (growth := grown(rows)) > MOST_GROWTH:
        lost.append(f"memory grew by {growth:.1f} MB over {len(rows)} notes")
    for key in ("handles", "threads"):
        if (most := max(row[key] for row in rows)) > rows[0][key]:
            lost.append(f"{key} grew from {rows[0][key]:.0f} to {most:.0f}")
    if (slower := slowing(rows)) > MOST_SLOWING:
        lost.append(f"a step took {slower:.2f} times the time in the end")
    return lost


def grown(rows: Sequence[Row]) -> float:
    """Growth of the resident memory in MB, by a line fitted to it."""
    steps = [row["step"] for row in rows]
    return float(np.polyfit(steps, [row["resident_mb"] for row in rows], 1)[0]) * (steps[-1] - steps[0])


def slowing(rows: Sequence[Row]) -> float:
    """Shortest time of a step and Gaussian in the last third, over that in the first; other work only adds to times."""
    times = [row["step_ms"] / row["gaussians"] for row in rows]
    third = max(1, len(times) // 3)
    return min(times[-third:]) / min(times[:third])


def drawn(rows: Sequence[Row]) -> str:
    """An SVG with a curve for each column over the steps, from 0 up."""
    width, height, parts = 640, 90, []
    names = [key for key in rows[0] if key != "step"]
    for i, name in enumerate(names):
        top = max(row[name] for row in rows) or 1
        points = " ".join(
            f"{width * row['step'] / rows[-1]['step']:.1f},{(i + 1) * height - 10 - 60 * row[name] / top:.1f}"
            for row in rows
        )
        parts.append(f'<text x="4" y="{i * height + 14}">{name}, up to {top:g}</text>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="black"/>')
    head = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{len(names) * height}"'
    return f'<svg {head} font-family="sans-serif" font-size="12">{"".join(parts)}</svg>\n'
