"""``kill -9`` at random moments; each time the same command goes on, and in the end nothing shows.

Half of the moments are spread evenly over a run's time, from the first import to the last picture. The others are aimed
at checkpoints while they are written: the temporary file is watched, and the kill comes up to 30 ms after it appears.
"""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.faults.runs import CHECKPOINT_EVERY, Run, difference, duration, kept, unbroken
from tests.faults.tally import Tally

CHAIN = 5  # kills until a run may finish
WRITING = 0.03  # seconds: longer than a checkpoint takes to be written and put in its place


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Kill ``count`` times; a kill is lost where what it leaves behind, or what became of the run, is not right."""
    reference, seconds, random = unbroken(folder), duration(folder), Random(seed)
    lost: list[str] = []
    done = inside = chains = 0
    while done < count:
        place = folder / f"kills_{chains}"
        story, problems = chain(place, min(CHAIN, count - done), seconds, random, reference)
        done += len(story)
        inside += sum("a checkpoint half written" in kill for kill in story)
        if problems:
            lost += [f"seed {seed}, run {chains}: {'; '.join([*story, *problems])} (files: {place})"] * len(story)
        chains += 1
        if progress:
            progress(done)
    return Tally(f"kill -9 ({inside} of them within a write of a checkpoint)", done, done - len(lost), lost)


def chain(folder: Path, most: int, seconds: float, random: Random, reference: Path) -> tuple[list[str], list[str]]:
    """One run that is killed up to ``most`` times and then left in peace: the kills, and what is wrong."""
    story: list[str] = []
    problems: list[str] = []
    step = 0
    while len(story) < most:
        process = Run(folder)
        moment = aimed(process, random) if random.random() < 0.5 else spread(process, seconds, random)
        process.send(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break  # it was faster
        story.append(f"killed {moment}{', with a checkpoint half written' if half_written(process.folder) else ''}")
        found = left_behind(process.folder, step)
        step = max(step, kept(process.folder)[0])
        problems += [f"after kill {len(story)}: {what}" for what in found]
    last = Run(folder)
    if status := last.wait():
        problems.append(f"then it ended with {status}: {last.said[-500:]}")
    if story and step and "is finished" not in last.said and "resuming from" not in last.said:
        problems.append(f"step {step} was saved, and it began anew")
    if wrong := difference(reference, last.folder):
        problems.append(f"not as unbroken: {wrong}")
    return story, problems


def spread(process: Run, seconds: float, random: Random) -> str:
    """Wait for a moment of a run's time."""
    wait = random.uniform(0, seconds)
    until(time.monotonic() + wait, lambda: process.over)
    return f"{wait:.2f} s after its start"


def aimed(process: Run, random: Random) -> str:
    """Wait until a checkpoint is being written, one of the first few, and a few milliseconds more."""
    which, wait = random.randint(1, 12), random.uniform(0, WRITING)
    for _ in range(which):
        until(None, lambda: process.over or not half_written(process.folder))
        until(None, lambda: process.over or half_written(process.folder))
    until(time.monotonic() + wait, lambda: process.over)
    return f"{1000 * wait:.1f} ms into write {which} of a checkpoint"


def until(deadline: float | None, condition: Callable[[], bool]) -> None:
    """Wait for ``condition``, but no longer than to ``deadline``."""
    while not condition() and (deadline is None or time.monotonic() < deadline):
        time.sleep(2e-4)


def half_written(run: Path) -> bool:
    """Is there a temporary file beside the checkpoints?"""
    return any((run / "checkpoints").glob(".*"))


def left_behind(run: Path, before: int) -> list[str]:
    """What is wrong with the state that a kill left.

    No checkpoint may be damaged, none older than those before (``before``: their newest step), and no more than
    ``CHECKPOINT_EVERY`` steps lost: what a row of ``history.csv`` tells of happened before the next checkpoint.
    """
    step, problems = kept(run)
    if step < before:
        problems.append(f"step {before} was saved, and now the newest is {step}")
    due = (max(rows(run), default=0) - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY
    if step < due:
        problems.append(f"step {due} should be saved, and the newest is {step}")
    return problems


def rows(run: Path) -> list[int]:
    """Steps that the history tells of."""
    if not (run / "history.csv").exists():
        return []
    with open(run / "history.csv", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]
