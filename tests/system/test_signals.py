"""Signals: who hears them, and which stay ignored."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from bags.system.signals import SIGNALS, Stopped, heard_by, stop


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_block_with_the_shells_status(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, heard_by(stop):
        os.kill(os.getpid(), number)
    assert stopped.value.code == 128 + number and stopped.value.signal == number
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with heard_by(stop):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert signal.getsignal(signal.SIGTERM) is stop
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    seen = []

    def inside() -> None:
        with heard_by(stop):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)] and seen != [stop]
