"""``task=benchmark``: our kernels against the plain alternative, in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from bags.benchmark.rows import convolution_memory_row, convolution_row, projection_row, rasterizer_row
from bags.benchmark.step import step_row
from bags.console import terminal
from bags.run_folder import write_json
from bags.settings import BenchmarkSettings, Settings
from bags.tasks.setup import device_name, prepare_process, versions

Case = Callable[[], dict[str, Any]]


def cases(settings: BenchmarkSettings) -> list[Case]:
    """What is measured, small to large; ``full=false`` leaves out what takes more than a few seconds."""
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
        lambda: convolution_memory_row(17, 2400, 1600),
        lambda: step_row(300, 200, 20_000, pixels=2.0, kernel=9, repeats=n),
        lambda: step_row(600, 400, 2_000, pixels=12.0, kernel=None, repeats=n),
    ]
    return small + large if settings.full else small


def run(settings: Settings) -> None:
    """Measure every case, write ``benchmark.json`` and print the table."""
    prepare_process(settings)
    console = terminal()
    rows = []
    for case in cases(settings.benchmark):
        rows.append(case())
        gain = "{ratio} times" if rows[-1]["ratio"] is not None else "memory {memory_ratio} times"
        console.print(f"{{name}}: {gain}".format(**rows[-1]))
    write_json(settings.folder / "benchmark.json", {"machine": device_name(), "versions": versions(), "rows": rows})
    show(console, rows)
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
