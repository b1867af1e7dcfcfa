"""The tests see the same surroundings on every machine."""

from __future__ import annotations

import os
import signal

import pytest

from bags.system.signals import SIGNALS
from tests.surroundings import settle


def test_terminal_proxy_and_cluster_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "50", "http_proxy": "http://127.0.0.1:9",
            "SLURM_JOB_ID": "1", "LOCAL_RANK": "1", "HYDRA_FULL_ERROR": "1", "WANDB_API_KEY": "x",
            "SE_CHROMEDRIVER": "/x"}  # fmt: skip
    for name, value in (told | {"WANDB_MODE": "online", "TERMINAL": "kept"}).items():
        monkeypatch.setenv(name, value)
    settle()
    assert not told.keys() & os.environ.keys()
    assert os.environ["WANDB_MODE"] == "offline" and os.environ["TERMINAL"] == "kept"


def test_signals_that_ask_to_stop_are_heard() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    settle()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS)
    assert [signal.getsignal(n) for n in SIGNALS] == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]
