"""Signals that ask a run to stop, heard from its first line to its last."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Those of them that the platform has: SIGUSR1, a scheduler's warning, is none of Windows'.
SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Stopped(SystemExit):
    """A signal has ended the run; the exit status is 128 + its number, as shells have it.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


def stop(number: int, frame: FrameType | None) -> None:
    """A handler that ends whatever runs at once, as Ctrl-C would: temporary files and folders are tidied away."""
    raise Stopped(number)


@contextmanager
def heard_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``handler`` hear ``SIGNALS`` in the block.

    A signal that whoever started us has made us ignore (nohup; a scheduler's warning that our parent passes on in its
    own way) stays ignored. Outside the main thread, nothing changes: whoever runs us there hears the signals.
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
