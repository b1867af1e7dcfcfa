"""A command as a Slurm job, submitted by submitit, which alone puts jobs back into the queue at their time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

from submitit.helpers import DelayedSubmission

PATIENCE = 0.2  # seconds between two looks at the process


class Command:
    """Runs a command in a job; what submitit stores and calls there.

    The training itself is a child process. Asked to stop, it finishes its step and saves its state; started again, it
    goes on from there (``ckpt_path=auto``), so a requeued job is simply the same command once more.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run; the exit status.

        Raises:
            SystemExit: a signal stopped the training. Then there is no result, and whoever sent the signal decides
                whether the job runs again.
        """
        self._process = subprocess.Popen(self.command, preexec_fn=_ignore_warnings)
        signal.signal(signal.SIGTERM, self._pass_on)
        while (status := self._process.poll()) is None:
            time.sleep(PATIENCE)
        if status < 0 or status > 128:
            sys.exit(status if status > 0 else 128 - status)
        return status

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit when the time limit is near: save, stop, and the same again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGTERM)
        with suppress(ChildProcessError):  # not Popen.wait: the signal may have come in the middle of its poll
            os.waitpid(self._process.pid, 0)
        return DelayedSubmission(Command(self.command))


def _ignore_warnings() -> None:
    """Slurm sends the signal before the time limit to all processes of a job; the child waits to be asked by us."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
