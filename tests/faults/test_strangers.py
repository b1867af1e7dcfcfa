"""Some of the campaign's hostile inputs, and that the campaign can lose."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bags.errors import BagsError
from tests.faults import kinds, stranger, strangers
from tests.faults.kinds import KINDS, WHOLE
from tests.faults.strangers import Worker, attempt, plan, settle

SOME = [name for name in KINDS if not name.startswith("task=")]  # whole commands are left to the campaign


def test_some_of_them(tmp_path: Path) -> None:
    settle(tmp_path)
    slow = 10 * stranger.SECONDS  # a machine may be; the campaign's own limit is for one like the author's
    tally = attempt([(0, *what) for what in plan(80, SOME)], Worker(tmp_path), seconds=slow)
    assert tally.lost == [] and tally.tried == tally.survived >= 80


def test_every_kind_has_its_share() -> None:
    planned = list(plan(2000))
    assert len(set(planned)) == len(planned) >= 2000
    assert [kind for kind, number in planned if number == WHOLE] == list(KINDS)[:-1]
    assert {kind for kind, number in planned if number != WHOLE} == set(KINDS)
    assert {kind for kind, _ in planned[:200]} >= set(SOME)


def allocates(*_: Path) -> None:
    np.ones(stranger.GROWTH // 8 + (32 << 17))


def writes(root: Path, _: Path) -> None:
    (root.parents[1] / "outside" / "ran").touch()


def raises(error: Exception) -> Callable[..., None]:
    def opener(*_: Path) -> None:
        raise error

    return opener


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What the judge says of an opener."""
    for place in ("outside", "work", "home", "corpus/photos"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "corpus/photos/a.bmp").write_bytes(bytes(100))

    def judge(opener: Any, number: int = 0, seconds: float = 1000.0) -> str:
        monkeypatch.setitem(kinds.OPENERS, "test", opener)
        monkeypatch.setitem(KINDS, "test", replace(KINDS["photo"], opener="test"))
        return stranger.answer(tmp_path, "test", 0, number, seconds)["lost"]

    return judge


def test_acceptable_reactions_count_as_survived(judged: Callable[..., str]) -> None:
    assert judged(lambda *_: None) == ""
    assert judged(raises(BagsError("/x/a.bmp: cannot be read"))) == ""
    assert judged(raises(BagsError("trainer.threads = 3: give less"))) == ""


def test_unacceptable_reactions_count_as_lost(judged: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ZeroDivisionError" in judged(lambda *_: 1 / 0)
    assert "MemoryError" in judged(raises(MemoryError()))
    assert "names neither file nor key" in judged(raises(BagsError("something went wrong")))
    assert "touched" in judged(writes)
    assert "whole, and refused" in judged(raises(BagsError("/x/a.bmp: cannot be read")), WHOLE)
    monkeypatch.setattr(stranger, "GROWTH", 64 << 20)
    assert "memory grew" in judged(allocates)
    assert "computed for" in judged(lambda *_: None, seconds=-1.0)


@pytest.mark.parametrize(
    ("does", "said"),
    [("os.abort()", "died: SIGABRT"), ("sys.exit(3)", "died: 3"), ("time.sleep(60)", "did not answer")],
)
def test_a_process_that_dies_or_hangs_loses_one_input(
    does: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    if '"number": 1' in line:
        {does}
    print('{{"how": "", "lost": ""}}', flush=True)
"""
    monkeypatch.setattr(strangers, "WAIT", 5.0)
    tally = attempt([(0, "ply", number) for number in range(3)], Worker(tmp_path, (sys.executable, "-c", code)))
    assert (tally.tried, tally.survived, len(tally.lost)) == (3, 2, 1) and said in tally.lost[0]
