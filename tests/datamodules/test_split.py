"""Every so many-th view is held out, counted from the first."""

from __future__ import annotations

from pathlib import Path

from bags.datamodules.parsers.split import split

NAMES = [f"{number:03}.png" for number in range(37)]


def test_every_so_many_th_view_from_the_first(tmp_path: Path) -> None:
    for hold in (2, 3, 8, 36, 37, 40):
        every = {name for number, name in enumerate(NAMES) if number / hold == number // hold}
        assert split(NAMES, tmp_path, hold) == every, hold
        (tmp_path / f"hold={hold}").touch()
        assert split(NAMES, tmp_path, "auto") == every, hold
        (tmp_path / f"hold={hold}").unlink()


def test_where_nobody_says_it_is_every_eighth_as_published(tmp_path: Path) -> None:
    assert split(NAMES, tmp_path, "auto") == {NAMES[number] for number in (0, 8, 16, 24, 32)}
    assert split(NAMES, tmp_path, None) == set()
    assert split(NAMES, tmp_path, "auto", listed=[NAMES[5]]) == {NAMES[5]}
