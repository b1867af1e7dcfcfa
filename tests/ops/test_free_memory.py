"""Free memory: the machine's, and what a control group leaves of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bags.ops import memory


def test_this_machine_has_some() -> None:
    assert 10**7 < memory.free_memory() < 10**15


@pytest.mark.parametrize(("limit", "free"), [("max", 8_192_000), ("5000000", 4_100_000), ("900000000", 8_192_000)])
def test_a_control_group_may_leave_less(limit: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 16000 kB\nMemAvailable:  8000 kB\nHugePages_Total: 0\n")
    group = tmp_path / "groups" / "job"
    group.mkdir(parents=True)
    for name, text in (("max", limit), ("current", "1000000"), ("stat", "anon 900000\ninactive_file 100000")):
        (group / f"memory.{name}").write_text(text + "\n")
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_own_groups", lambda: [group, tmp_path / "groups"])
    assert memory.free_memory() == free


def test_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "nothing")
    assert memory.free_memory() > 10**7
