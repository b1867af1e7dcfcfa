"""Damages inputs and opens them, one after the other, in a process that may die of it.

``python -m tests.faults.stranger FOLDER`` reads a line of ``answer``'s arguments as JSON for each, and
answers with ``{"how": how it was damaged, "lost": why it is not survived, empty where it is}``. An input is survived
where it is refused with one clear line that names a file or key, or taken in and found sound; in time, within the
memory, without running what it carries and without touching anything but its own folder.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import resource
import shutil
import sys
import traceback
from pathlib import Path
from random import Random

from bags.errors import BagsError, SettingError
from tests.faults.damage import Damage
from tests.faults.kinds import KINDS, WHOLE
from tests.faults.openers import warm_up
from tests.faults.trouble import limit

SECONDS = 10.0  # of computing that an input may take, its children's included
GROWTH = 600 << 20  # bytes by which memory may grow meanwhile
LIMIT = 2 << 30  # bytes by which address space may grow; so much is refused by the system
LONGEST = 1000  # characters of a message


def answer(folder: Path, kind: str, seed: int, number: int, seconds: float = SECONDS) -> dict[str, str]:
    """Damage one input of the corpus (unless it is to be ``WHOLE``), open it and judge; it may compute ``seconds``."""
    rng = Random(f"{seed}/{kind}/{number}")
    case, chosen = folder / "case", KINDS[kind]
    shutil.rmtree(case, ignore_errors=True)
    root = case / "input"
    shutil.copytree(folder / "corpus" / chosen.corpus, root)
    targets = sorted(path for pattern in chosen.targets for path in root.glob(pattern))
    target, said = rng.choice(targets), []
    for _ in range(0 if number == WHOLE else rng.choice((1, 1, 1, 1, 2, 3))):
        if target.is_file() and not target.is_symlink():
            said.append(damaged(rng.choice(chosen.damages(target)), target, rng))
    how = f"{target.relative_to(root)}: {'; '.join(said)}"
    before = surroundings(folder)
    with contextlib.suppress(OSError):  # some containers may not
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of memory
    used, spent = memory("VmRSS"), computed()
    try:
        chosen.open(root, target)
        lost = ""
    except BagsError as error:
        lost = unclear(error, root, target) if said else f"whole, and refused: {error}"
    except MemoryError:
        lost = "MemoryError"
    except Exception:
        lost = traceback.format_exc(limit=-3)
    if (grown := memory("VmHWM") - used) > GROWTH:
        lost += f" memory grew by {grown >> 20} MB"
    if (took := computed() - spent) > seconds:
        lost += f" computed for {took:.1f} s"
    if (after := surroundings(folder)) != before:
        lost += f" touched {sorted(set(after.items()) ^ set(before.items()))[:3]}"
    return {"how": how, "lost": lost}


def damaged(damage: Damage, target: Path, rng: Random) -> str:
    """Damage a file once more; what it is made of may be gone already."""
    try:
        return damage(target, rng)
    except Exception as error:
        return f"{damage.__name__} found nothing to damage ({type(error).__name__})"


def unclear(error: BagsError, root: Path, target: Path) -> str:
    """What is wrong with a message; empty where nothing is."""
    text = str(error)
    if not text.isprintable() or len(text) > LONGEST:
        return f"the message is no clear line ({len(text)} characters): {text[:300]!r}"
    named = isinstance(error, SettingError) or str(root) in text or target.name in text or " = " in text
    return "" if named else f"the message names neither file nor key: {text}"


def surroundings(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything beside the input: size and time of every file."""
    found = {}
    for place in (folder / "outside", folder / "corpus", folder / "work", folder / "home"):
        for path in (place, *place.rglob("*")):
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found | {str(path): (0, 0) for path in folder.iterdir()}


def memory(what: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most since its peak was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) << 10


def computed() -> float:
    """Seconds that this process and its children have computed."""
    use = os.times()
    return use.user + use.system + use.children_user + use.children_system


def main(folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print is not an answer
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    warm_up()
    os.chdir(folder / "work")
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit(resource.RLIMIT_AS, size + LIMIT)
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(json.dumps(answer(folder, **json.loads(line))) + "\n")


if __name__ == "__main__":
    # Compiled kernels stay where the user's are: they are no trace of an input.
    os.environ.setdefault("NUMBA_CACHE_DIR", os.path.expanduser("~/.cache"))
    os.environ["HOME"] = str(Path(sys.argv[1]) / "home")
    main(Path(sys.argv[1]))
