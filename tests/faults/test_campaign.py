"""The campaign of ``make faults``, a few faults of each part; ``test_judges.py`` proves that a part can lose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.faults import disk, kills, numbers, signals

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("part", "count"),
    [(kills, 3), (signals, 3), (disk, 1), (numbers, 1)],
    ids=["kills", "signals", "disk", "numbers"],
)
def test_nothing_is_lost(part: ModuleType, count: int, folder: Path) -> None:
    tally = part.run(count, 0, folder / part.__name__.split(".")[-1])
    assert tally.lost == [] and tally.survived == tally.tried == count


def test_the_command_makes_the_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", "--quick", "resumes"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "outputs/faults/campaign.md").read_text()
    assert "| stop, and resume in a new process | 3 | 3 | 0 |" in table
    assert json.loads((tmp_path / "outputs/faults/campaign.json").read_text())["parts"]["resumes"]["lost"] == []
