"""One line that says which photos of a scene are used, for the user to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST = 8  # names that are listed; the others are only counted


def in_one_line(
    used: int,
    folder: str,
    left_out: Mapping[str, Sequence[str]],
    cameras: int,
    points: int,
    tests: Sequence[str],
) -> str:
    """Such as ``41 of 43 photos of images/ used (2 left out: blurred: a.jpg, b.jpg), 1 camera, 9,252 points, ...``.

    Args:
        used: number of photos that are training or test views.
        folder: name of the folder of photos.
        left_out: names of the other photos, by reason.
        cameras: number of different cameras.
        points: number of initial points.
        tests: names of the test views.
    """
    missed = sum(map(len, left_out.values()))
    reasons = "; ".join(f"{reason}: {_names(names)}" for reason, names in left_out.items() if names)
    total = f"{used + missed:,} photos of {folder} used"
    photos = f"{used:,} of {total} ({missed:,} left out: {reasons})" if missed else f"all {total}"
    held_out = f"test views: {_names(tests)}" if tests else "no test views"
    return f"{photos}, {_count(cameras, 'camera')}, {_count(points, 'point')}, {held_out}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
