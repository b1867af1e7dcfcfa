"""``task=benchmark``: compares our kernels with plain PyTorch, in one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from bags.benchmark.blur_step import camera_blur_row
from bags.benchmark.rows import (
    convolution_memory_row,
    convolution_row,
    defocus_row,
    interpolated_row,
    path_blur_row,
    projection_row,
    rasterizer_row,
)
from bags.benchmark.step import step_row
from bags.io.records import write_json
from bags.ops.precision import instruction_sets
from bags.run.facts import device_name, versions
from bags.run.process import prepare_process
from bags.settings import BenchmarkSettings, Settings
from bags.system.terminal import terminal

# Environment variables that restrict torch, oneDNN, MKL and Numba to the instructions of an older processor.
LESSER = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "",  # otherwise Numba uses the features of the real processor
    }
}
Case = Callable[[], dict[str, Any]]


def cases(settings: BenchmarkSettings) -> list[Case]:
    """The cases, from small to large; ``full=false`` leaves out those that take more than a few seconds."""
    n = settings.repeats
    small: list[Case] = [
        lambda: rasterizer_row(160, 120, 5_000, n),
        lambda: convolution_row(9, 160, 120, n),
        lambda: step_row(160, 120, 5_000, pixels=2.0, kernel=9, repeats=n),
    ]
    large: list[Case] = [
        lambda: rasterizer_row(600, 400, 50_000, n),
        lambda: rasterizer_row(600, 400, 200_000, n),
        lambda: projection_row(60_000, n),
        lambda: convolution_row(9, 300, 200, n),
        lambda: convolution_row(17, 600, 400, n),
        lambda: interpolated_row(9, 300, 200, 4, n),
        lambda: interpolated_row(17, 600, 400, 4, n),
        lambda: path_blur_row(300, 200, 5, n),
        lambda: path_blur_row(600, 400, 13, n),
        lambda: defocus_row(300, 200, 4, n),
        lambda: defocus_row(600, 400, 8, n),
        lambda: convolution_memory_row(17, 2400, 1600),
        lambda: step_row(300, 200, 20_000, pixels=2.0, kernel=9, repeats=n),
        lambda: step_row(300, 200, 20_000, pixels=2.0, kernel=9, repeats=n, compare=False, spacing=1),
        lambda: step_row(600, 400, 60_000, pixels=2.0, kernel=17, repeats=n, compare=False),
        lambda: step_row(600, 400, 2_000, pixels=12.0, kernel=None, repeats=n),
        lambda: camera_blur_row(300, 200, 20_000, pixels=0, lens=True, repeats=n),
        lambda: camera_blur_row(300, 200, 20_000, pixels=4, lens=False, repeats=n),
        lambda: camera_blur_row(300, 200, 20_000, pixels=12, lens=False, repeats=n),
        lambda: camera_blur_row(300, 200, 20_000, pixels=12, lens=True, repeats=n),
    ]
    return small + large if settings.full else small


def run(settings: Settings) -> None:
    """Measure every case, write ``benchmark.json`` and print the table.

    With ``benchmark.processor`` this runs in a new process, because libraries read these variables when they load.
    """
    held_back = LESSER.get(settings.benchmark.processor, {})
    if any(os.environ.get(key) != value for key, value in held_back.items()):
        command = [sys.executable, "-m", "bags.cli", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, **held_back}).returncode)
    prepare_process(settings.trainer, settings.seed)
    console = terminal()
    rows = []
    for case in cases(settings.benchmark):
        rows.append(case())
        gain = "{ratio} times" if rows[-1]["ratio"] is not None else "memory {memory_ratio} times"
        console.print(f"{{name}}: {gain}".format(**rows[-1]))
    sets = instruction_sets()
    facts = {"machine": device_name(), "instructions": sets, "versions": versions()}
    write_json(settings.folder / "benchmark.json", {**facts, "rows": rows})
    show(console, rows)
    console.print(", ".join(f"{name}: {value}" for name, value in sets.items()))
    console.print(f"results in {settings.folder / 'benchmark.json'}")


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print the rows, and the parts of each training step."""
    table = Table(title="forward and backward, median", title_justify="left")
    columns = ("name", "ours_ms", "plain_ms", "ratio", "ours_mb", "plain_mb", "memory_ratio")
    for column in columns:
        table.add_column(column, justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*("-" if row[column] is None else str(row[column]) for column in columns))
    console.print(table)
    for row in rows:
        if "parts_ms" in row:
            parts = ", ".join(f"{name} {ms}" for name, ms in row["parts_ms"].items())
            console.print(f"{row['name']}, ms: {parts}")
