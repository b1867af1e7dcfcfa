"""Waiting for what another process or thread does: as long as it takes, on however busy a machine."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG = 1800.0  # seconds after which something hangs, and the test fails instead of the whole suite


def until(happened: Callable[[], object], alive: Callable[[], object] = lambda: True) -> None:
    """Return as soon as ``happened()``, looking again and again.

    Raises:
        AssertionError: it has not, and what should do it is no longer ``alive()``, or hangs.
    """
    deadline = time.monotonic() + HANG
    while not happened():
        living = alive()
        assert happened() or (living and time.monotonic() < deadline), "it does not happen any more"
        time.sleep(0.02)
