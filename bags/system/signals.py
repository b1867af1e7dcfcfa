"""Signals that ask a run to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Only those of the platform: Windows has no SIGUSR1, a scheduler's warning.
SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Stopped(SystemExit):
    """A signal has ended the run; the exit status is 128 + its number, as in shells.

    Attributes:
        signal: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


def stop(number: int, frame: FrameType | None) -> None:
    """A handler that ends the run at once, like Ctrl-C; temporary files and folders are removed."""
    raise Stopped(number)


@contextmanager
def heard_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``handler`` handle ``SIGNALS`` in the block.

    A signal that was ignored when the process started stays ignored (nohup, or a scheduler's warning that the parent
    process handles). Outside the main thread nothing changes, because the main thread receives the signals.
    """
    before = {}
    try:
        for number in SIGNALS if threading.current_thread() is threading.main_thread() else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler) or signal.SIG_DFL  # None: set by a library in C
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
