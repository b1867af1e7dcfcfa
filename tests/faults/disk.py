"""A disk that is full, or a folder that cannot be written: a clear end, the last good state kept; then it goes on.

The disk is a small file system in memory, mounted for the purpose. Where that is not allowed, the length of files is
limited instead (``RLIMIT_FSIZE``), which stops checkpoints only.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lightning import Callback
from PIL import Image

from tests.faults.runs import CHECKPOINT_EVERY, STEPS, Run, difference, kept, results, unbroken
from tests.faults.tally import Tally
from tests.faults.trouble import FillDisk, Freeze, LimitFiles, fill

DISK = 32 << 20  # bytes
JUDGING = STEPS + 1


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: in words.
        begins: makes the fault in a folder before the run starts.
        injected: callbacks that make it in the run.
        mends: takes it away.
        least: step of the checkpoint that has to be left.
    """

    name: str
    begins: Callable[[], object]
    injected: Sequence[Callback]
    mends: Callable[[], object]
    least: int


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Try ``count`` faults, one a run; ``seed`` is not used: there is nothing random."""
    reference = unbroken(folder)
    with small_disk() as disk:
        found = [*(on_disk(disk, reference) if disk else limited(folder, reference)), *unwritable(folder)][:count]
        lost = []
        for done, (place, case) in enumerate(found, start=1):
            if wrong := survives(place, folder / f"{place.name}.said.txt", case, reference):
                lost.append(f"{case.name}: {wrong}")
            if progress:
                progress(done)
    how = "a full disk of 32 MB" if disk else "files limited in length (no mount allowed)"
    return Tally(f"{how}, an unwritable folder", len(found), len(found) - len(lost), lost)


def on_disk(disk: Path, reference: Path) -> Iterator[tuple[Path, Case]]:
    """Full at the start, in a checkpoint, in a small file, in the pictures, in the report; each time emptied again."""
    checkpoint = size(reference / "checkpoints")
    pictures = size(reference / "test") + size(reference / "train_views")

    def full(name: str, step: int, free: int) -> tuple[Path, Case]:
        place = disk / name.replace(" ", "_")
        place.mkdir()
        nothing = lambda: None  # noqa: E731
        begins, injected = (nothing, [FillDisk(place, step, free)]) if step else (lambda: fill(place, free), [])
        least = (step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY if step else 0
        return place, Case(f"disk full {name}", begins, injected, (place / "ballast").unlink, least)

    yield full("at the start", 0, 0)
    yield full("within the first checkpoint", 1, checkpoint // 2)
    yield full("within a later checkpoint", 50, checkpoint // 2)
    yield full("to the last byte at step 100", 100, 0)
    yield full("within the last checkpoint", STEPS - 1, checkpoint // 2)
    yield full("in the first pictures", JUDGING, 0)
    yield full("in later pictures", JUDGING, pictures // 2)
    yield full("in the report", JUDGING, pictures + size(reference.parent) // 8)


def limited(folder: Path, reference: Path) -> Iterator[tuple[Path, Case]]:
    """Full for checkpoints only, from the first one or a later one on."""
    half = size(reference / "checkpoints") // 2
    for step in (1, 50, STEPS - 1):
        least = (step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY
        nothing = lambda: None  # noqa: E731
        yield (
            folder / f"limited_{step}",
            Case(f"files limited from step {step}", nothing, [LimitFiles(step, half)], nothing, least),
        )


def unwritable(folder: Path) -> Iterator[tuple[Path, Case]]:
    """A file in the folder's place; folders that nobody may write to, where the file system knows such."""
    place = folder / "file_in_place"
    place.mkdir(parents=True)
    yield place, Case("a file in the folder's place", (place / "run").touch, [], (place / "run").unlink, 0)
    if not can_freeze(folder):
        return
    for name, step, what in (("from the start", 0, "."), ("from step 50 on", 50, "run/checkpoints")):
        place = folder / f"frozen_{step}"
        place.mkdir()
        freeze, thaw = (partial(subprocess.run, ["chattr", f"{sign}i", str(place / what)], check=True) for sign in "+-")
        begins, injected = (lambda: None, [Freeze(place / what, step)]) if step else (freeze, [])
        yield place, Case(f"folder unwritable {name}", begins, injected, thaw, step and 49)


def survives(folder: Path, log: Path, case: Case, reference: Path) -> str | None:
    """What is wrong with how a run ends that has a fault, or with how it goes on without; None: nothing."""
    case.begins()
    try:
        troubled = Run(folder, injected=case.injected, log=log)
        status = troubled.wait()
    finally:
        case.mends()
    if wrong := clean_end(troubled, status, case.least):
        return wrong
    goes_on = Run(folder, log=log)
    if status := goes_on.wait():
        return f"then, without the fault, it ended with {status}: {goes_on.said[-500:]}"
    if case.least and "resuming from" not in goes_on.said:
        return "then, without the fault, it began anew"
    return difference(reference, goes_on.folder)


def clean_end(ended: Run, status: int, least: int) -> str | None:
    """What is wrong with how a run ended that could not write; None: nothing."""
    if status <= 0:
        return f"exit status {status}: {ended.said[-500:]}"
    errors = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    if "Traceback" in ended.said or len(errors) != 1 or str(ended.folder.parent) not in errors[0]:
        return f"not one clear line that names the place: {ended.said[-800:]}"
    step, damaged = kept(ended.folder)
    if step < least or damaged:
        return f"kept step {step}, not {least} {damaged}"
    return half_a_file(ended.folder)


def half_a_file(run: Path) -> str | None:
    """A file that is not whole, or a temporary one."""
    for name in results(run) if run.is_dir() else ():
        path = run / name
        try:
            if path.name.startswith("."):
                return f"left a temporary file: {name}"
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    picture.load()
            if path.suffix == ".json":
                json.loads(path.read_text())
        except Exception as error:
            return f"{name} is not whole: {error}"
    return None


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A new file system of ``DISK`` bytes; None where this process may not mount one."""
    with tempfile.TemporaryDirectory() as place:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", place]
        try:
            mounted = os.geteuid() == 0 and subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        except FileNotFoundError:
            mounted = False
        try:
            yield Path(place) if mounted else None
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", place], check=True)


def can_freeze(folder: Path) -> bool:
    """May this process make files that nobody can change, and does the file system know such?"""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            frozen = subprocess.run(["chattr", "+i", file.name], stderr=subprocess.DEVNULL).returncode == 0
        except FileNotFoundError:
            return False
        if frozen:
            subprocess.run(["chattr", "-i", file.name], check=True)
        return frozen
