"""The campaign: its parts, two at a time in processes of their own, and the table they make."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import shutil
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.tally import Tally

# How many faults: of the whole campaign, and with --quick. The longest parts come first: two go on at a time.
PARTS = {
    "long_load": (20_000, 1_000),
    "strangers": (2_000, 80),
    "kills": (50, 3),
    "resumes": (20, 3),
    "numbers": (32, 4),
    "signals": (18, 3),
    "disk": (11, 3),
}
OUTPUT = Path("outputs/faults")
AT_A_TIME = 2
COLUMNS = ("part", "tried", "survived", "lost", "minutes")


def campaign(parts: Sequence[str], seed: int, quick: bool) -> int:
    """Run ``parts``; returns how many faults were lost."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    began, console, done = time.monotonic(), Console(), {}
    console.print(f"seed {seed}, {', '.join(parts)}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        futures: dict[Future[tuple[Tally, float]], str] = {
            pool.submit(apart, part, PARTS[part][quick], seed, OUTPUT.resolve() / part): part for part in parts
        }
        for future in as_completed(futures):
            part = futures[future]
            tally, seconds = done[part] = future.result()
            console.print(f"{part}: {tally.survived} of {tally.tried} survived, {seconds / 60:.1f} min")
    rows = [
        (tally.name, str(tally.tried), str(tally.survived), str(len(tally.lost)), f"{seconds / 60:.1f}")
        for tally, seconds in (done[part] for part in parts)
    ]
    lost = [f"{part}: {what}" for part in parts for what in dict.fromkeys(done[part][0].lost)]
    write(rows, lost, {part: asdict(done[part][0]) for part in parts}, seed)
    table = Table(*COLUMNS, title=f"{(time.monotonic() - began) / 60:.1f} minutes, seed {seed}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for what in lost:
        console.print(f"LOST {what}", highlight=False, markup=False)
    return len(lost)


def apart(part: str, count: int, seed: int, folder: Path) -> tuple[Tally, float]:
    """``one`` in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(one, part, count, seed, folder).result()


def one(part: str, count: int, seed: int, folder: Path) -> tuple[Tally, float]:
    """A part of the campaign and its seconds; a part that breaks has lost. Nothing is kept of what survived."""
    began = time.monotonic()
    folder.mkdir()
    said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)  # what the program says in this process is no part of the table
    os.dup2(said, 2)
    try:
        tally = importlib.import_module(f"tests.faults.{part}").run(count, seed, folder)
    except Exception:
        tally = Tally(part, count, 0, [f"the part itself broke: {traceback.format_exc()}"])
    for path in () if tally.lost else folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return tally, time.monotonic() - began


def write(rows: Sequence[Sequence[str]], lost: Sequence[str], tallies: dict[str, object], seed: int) -> None:
    """The table as Markdown, and everything as JSON."""
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (OUTPUT / "campaign.md").write_text(table + "".join(f"\n- lost: {what}\n" for what in lost))
    (OUTPUT / "campaign.json").write_text(json.dumps({"seed": seed, "parts": tallies}, indent=2) + "\n")
