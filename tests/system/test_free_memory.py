"""Free memory: the machine's, and what a control group leaves of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bags.system import memory


def machine_has(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))


def test_this_machine_has_some() -> None:
    assert 10**7 < memory.free_memory() < 10**15


def test_small_sizes_are_told_in_small_units() -> None:
    counts = (0, 87, 3_400, 20_400, 999_000, 1_240_000, 12_400_000, 2_500_000_000, 12_340_000_000)
    told = "0 bytes, 87 bytes, 3.4 kB, 20 kB, 999 kB, 1.2 MB, 12 MB, 2.5 GB, 12.3 GB"
    assert ", ".join(map(memory.in_words, counts)) == told


def test_a_control_group_may_leave_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "groups" / "job"
    group.mkdir(parents=True)
    machine_has(8_192_000, monkeypatch)
    monkeypatch.setattr(memory, "_own_groups", lambda: [group, tmp_path / "groups"])
    for limit, free in {"max": 8_192_000, "5000000": 4_100_000, "900000000": 8_192_000}.items():
        for name, text in (("max", limit), ("current", "1000000"), ("stat", "anon 900000\ninactive_file 100000")):
            (group / f"memory.{name}").write_text(text + "\n")
        assert memory.free_memory() == free, limit


V2 = {"max": "5000000", "current": "1000000"}
V1 = {"limit_in_bytes": "5000000", "usage_in_bytes": "1000000"}


@pytest.mark.parametrize(
    ("line", "folder", "files", "stat", "free"),
    [
        ("0::/job", "job", V2, "inactive_file 1000\nactive_file 200\nslab_reclaimable 30", 4_001_230),
        (
            "4:memory:/job",
            "memory/job",
            V1,
            "active_file 9\ntotal_inactive_file 1000\ntotal_active_file 200",
            4_001_200,
        ),
        ("4:memory:/of/the/host", "memory", V1, "total_inactive_file 1000", 4_001_000),  # as in a container
        ("4:memory:/job", "memory/job", V1 | {"limit_in_bytes": "9223372036854771712"}, "", 8_192_000),
        ("4:cpu:/job", "cpu/job", V1, "", 8_192_000),
    ],
)
def test_both_versions_of_control_groups(
    line: str, folder: str, files: dict[str, str], stat: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What caches hold of files is given back when somebody needs it, however lately it was read."""
    (tmp_path / "own").write_text(f"9:name=systemd:/\n{line}\n1:cpuset:/\n")
    group = tmp_path / "groups" / folder
    group.mkdir(parents=True)
    for name, text in (files | {"stat": stat}).items():
        (group / f"memory.{name}").write_text(text + "\n")
    machine_has(8_192_000, monkeypatch)
    for name, place in (("OWN", "own"), ("GROUPS", "groups")):
        monkeypatch.setattr(memory, name, tmp_path / place)
    assert memory.free_memory() == free


def test_where_there_are_no_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_has(8_192_000, monkeypatch)
    monkeypatch.setattr(memory, "OWN", tmp_path / "nothing")
    assert memory.free_memory() == 8_192_000
