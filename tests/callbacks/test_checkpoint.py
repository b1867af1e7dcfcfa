"""Which signals let the step finish, and which end the run at once."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from bags.callbacks import Checkpoint
from bags.system.signals import Stopped


def test_a_second_ctrl_c_ends_the_run_at_once_and_a_second_sigterm_does_not() -> None:
    """A scheduler and its launcher may both send a SIGTERM."""
    checkpoint = Checkpoint()
    unused: Any = None
    checkpoint.on_train_start(unused, unused)
    try:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert checkpoint.stopped and checkpoint.signal == signal.SIGTERM
        with pytest.raises(Stopped, match=str(128 + signal.SIGINT)):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        checkpoint.on_train_end(unused, unused)
