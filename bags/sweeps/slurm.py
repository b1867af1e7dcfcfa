"""A command as a Slurm job, submitted by submitit, which is the only one to requeue jobs at their time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

from submitit.helpers import DelayedSubmission

PATIENCE = 0.2  # seconds between two checks of the process


class Command:
    """Runs a command in a job; submitit stores this object and calls it there.

    The training itself is a child process. When asked to stop, it finishes its step and saves its state. When started
    again, it resumes from there (``ckpt_path=auto``), so a requeued job is simply the same command again.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command and return its exit status.

        Raises:
            SystemExit: a signal stopped the training. Then there is no result, and the sender of the signal decides
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
        """Save and stop, and resubmit the same command; called by submitit shortly before the time limit."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGTERM)
        with suppress(ChildProcessError):  # not Popen.wait, because the signal may have interrupted its poll
            os.waitpid(self._process.pid, 0)
        return DelayedSubmission(Command(self.command))


def _ignore_warnings() -> None:
    """Ignore Slurm's signal before the time limit, which goes to all processes; the child stops when we ask it to."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
