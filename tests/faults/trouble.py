"""Callbacks that make trouble inside a run; they go before all others (``runs.Run(injected=...)``)."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import Any

from lightning import Callback


class SignalAt(Callback):
    """Sends this process a signal at the start of a step; step 0: before the first one, while the trainer sets up."""

    def __init__(self, signal: int, step: int) -> None:
        self.signal, self.step = signal, step

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if self.step == 0:
            os.kill(os.getpid(), self.signal)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step == self.step:
            os.kill(os.getpid(), self.signal)


class FillDisk(Callback):
    """Leaves ``free`` bytes of the file system of ``folder`` from ``step`` on; after the last: while judging."""

    def __init__(self, folder: Path, step: int, free: int) -> None:
        self.folder, self.step, self.free = folder, step, free

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step == self.step:
            fill(self.folder, self.free)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self.step > pl_module.schedule.total:
            fill(self.folder, self.free)


def fill(folder: Path, free: int) -> None:
    """Take all room but ``free`` bytes of the file system of ``folder``, with a file called ``ballast``."""
    room = os.statvfs(folder)
    with open(folder / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - free))


def limit(what: int, most: int) -> None:
    """Let this process have ``most`` of a resource, or as little as the system lets it have anyway."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


class LimitFiles(Callback):
    """No file may become longer than ``size`` bytes from ``step`` on: a disk that is full for large files."""

    def __init__(self, step: int, size: int) -> None:
        self.step, self.size = step, size

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step == self.step:
            limit(resource.RLIMIT_FSIZE, self.size)


class Freeze(Callback):
    """Lets nobody change ``folder`` from the start of ``step`` on (``chattr +i``: root, too)."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.step = folder, step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step == self.step:
            subprocess.run(["chattr", "+i", str(self.folder)], check=True)
