"""Strangers' files: thousands of damaged and hostile inputs, each opened by what the program opens it with."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from tests.faults import corpus
from tests.faults.kinds import KINDS, WHOLE
from tests.faults.stranger import SECONDS
from tests.faults.tally import Tally

WAIT = 300.0  # seconds on the wall after which an input hangs, however busy the machine is; computing is limited apart
WARM_UP = 600.0


class Worker:
    """A process that opens one input after the other; where one kills it, another takes its place.

    Args:
        folder: to work in.
        command: of the process; it says that it is ready, then answers line by line.
    """

    def __init__(self, folder: Path, command: Sequence[str] = (sys.executable, "-m", "tests.faults.stranger")) -> None:
        self.folder = folder
        self.command = command
        self.process: subprocess.Popen[str] | None = None

    def ask(self, **question: str | float) -> dict[str, str]:
        """Its answer; ``lost`` where it dies or does not answer."""
        process = self.process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = self._line(WAIT)
        if line:
            answer: dict[str, str] = json.loads(line)
            return answer
        ended = None if line is None else process.wait()
        self.end()
        why = "did not answer" if ended is None else f"died: {signal.Signals(-ended).name if ended < 0 else ended}"
        return {"how": "not said", "lost": f"{why}: {self._last_words()}"}

    def _start(self) -> subprocess.Popen[str]:
        with (self.folder / "said").open("w") as said:
            self.process = subprocess.Popen(
                [*self.command, str(self.folder)], text=True, stderr=said,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        if not self._line(WARM_UP):
            raise RuntimeError(f"the worker cannot begin: {self._last_words()}")
        return self.process

    def _line(self, seconds: float) -> str | None:
        """What it says; empty where it has ended, None where it says nothing for so long."""
        assert self.process is not None and self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else None

    def _last_words(self) -> str:
        return (self.folder / "said").read_text(errors="replace")[-600:]

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()  # closes the pipes, too
            self.process = None


def plan(count: int, kinds: Collection[str] = tuple(KINDS)) -> Iterator[tuple[str, int]]:
    """Kind and number of every input: each kind once whole, then damaged, by their shares, spread evenly."""
    total = sum(KINDS[name].share for name in kinds)
    due = sorted(
        ((number + 0.5) / (count * KINDS[name].share / total), name, number)
        for name in kinds
        for number in range(max(1, round(count * KINDS[name].share / total)))
    )
    yield from ((name, WHOLE) for name in kinds if KINDS[name].whole)
    yield from ((name, number) for _, name, number in due)


def settle(folder: Path) -> None:
    """Make in ``folder``, emptied, what is damaged and what must not be touched."""
    shutil.rmtree(folder, ignore_errors=True)
    for place in ("outside", "work", "home"):
        (folder / place).mkdir(parents=True)
    Image.new("RGB", corpus.SIZE).save(folder / "outside" / "secret.png")
    corpus.make(folder / "corpus")


def attempt(
    inputs: Iterable[tuple[int, str, int]],
    worker: Worker,
    progress: Callable[[int], None] | None = None,
    seconds: float = SECONDS,
) -> Tally:
    """Have inputs (seed of the damage, kind, number) opened by ``worker``, in the folder where it has settled.

    Each may compute ``seconds``.
    """
    lost, tried = [], 0
    try:
        for tried, (seed, kind, number) in enumerate(inputs, start=1):
            answer = worker.ask(kind=kind, seed=seed, number=number, seconds=seconds)
            if answer["lost"]:
                lost.append(f"{kind}, seed {seed}, number {number}: {answer['how']}: {answer['lost']}")
            if progress is not None:
                progress(tried)
    finally:
        worker.end()
    return Tally("strangers' files", tried, tried - len(lost), lost)


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Damage and open about ``count`` inputs.

    Args:
        count: of inputs.
        seed: of all damage.
        folder: to work in; emptied first.
        progress: told how many are done.
    """
    folder = folder.resolve()
    settle(folder)
    return attempt(((seed, kind, number) for kind, number in plan(count)), Worker(folder), progress)


def main() -> None:
    """``python -m tests.faults.strangers [COUNT [SEED]]``, or ``... SEED KIND NUMBER`` to repeat one input."""
    said = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="bags-strangers-") as name:
        folder = Path(name)
        if len(said) == 3:
            settle(folder)
            tally = attempt([(int(said[0]), said[1], int(said[2]))], Worker(folder))
        else:
            count, seed = (int(text) for text in (*said, "200", "0")[:2]) if len(said) != 1 else (int(said[0]), 0)
            tally = run(count, seed, folder)
    print(*tally.lost, f"{tally.tried} tried, {tally.survived} survived", sep="\n\n")


if __name__ == "__main__":
    main()
