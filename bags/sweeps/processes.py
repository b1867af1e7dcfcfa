"""Runs commands as processes on this machine, a few at a time."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

PATIENCE = 0.2  # seconds between two checks of the processes


def run_all(commands: Sequence[tuple[list[str], Path]], places: Sequence[dict[str, str]]) -> Iterator[tuple[int, int]]:
    """Run commands in order, as many at once as there are places.

    When this process ends, for whatever reason, they are asked to stop (a training saves its state first) and awaited.

    Args:
        commands: each with the file for its output.
        places: environment variables of a command in addition to this process's.

    Yields:
        Index and exit status of each command, as they end.
    """
    waiting = list(range(len(commands)))
    free = list(range(len(places)))
    running: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
    with asked_to_stop():
        try:
            while waiting or running:
                while waiting and free:
                    place, index = free.pop(0), waiting.pop(0)
                    running[index] = (place, start(*commands[index], places[place]))
                for index, (place, process) in list(running.items()):
                    if (status := process.poll()) is not None:
                        del running[index]
                        free.append(place)
                        yield index, status
                time.sleep(PATIENCE)
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                process.wait()


def start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a command that prints into ``log`` and is asked to stop when this process dies (on Linux)."""
    with open(log, "ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@contextmanager
def asked_to_stop() -> Iterator[None]:
    """Make SIGTERM end the block as Ctrl-C does, so that processes started in it are stopped."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
