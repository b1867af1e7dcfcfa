"""Which views are held out to test on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bags.errors import DataError
from bags.types import View

log = logging.getLogger(__name__)

PUBLISHED_HOLD = 8  # of LLFF and all that follow it


def hold_of(root: Path, hold: int | str | None) -> int | None:
    """Every how many-th view is a test view.

    An empty file ``hold=N`` in the scene's folder, LLFF's habit, answers where ``dataset.hold`` is ``auto``; a number
    or null in the settings (a scene's preset, the command line) wins over the file, with a warning where they differ.

    Args:
        root: the scene's folder.
        hold: ``dataset.hold``.

    Raises:
        DataError: several such files, or one without a usable number.
    """
    stated = _stated(root)
    if hold == "auto":
        return PUBLISHED_HOLD if stated is None else stated
    if stated is not None and hold != stated:
        log.warning("%s says hold=%d, but dataset.hold=%s is what counts", root, stated, hold)
    assert not isinstance(hold, str)
    return hold


def _stated(root: Path) -> int | None:
    files = sorted(path.name for path in root.glob("hold=*"))
    if not files:
        return None
    if len(files) > 1:
        raise DataError(f"{root}: {' and '.join(files)}: keep one of these files, or say dataset.hold=N")
    number = files[0].removeprefix("hold=")
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) >= 2):
        raise DataError(f"{root / files[0]}: hold=N needs a whole number, at least 2; rename it, or say dataset.hold=N")
    return int(number)


def split(views: Sequence[View], hold: int | None) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Training and test views: every ``hold``-th, from the first, is a test view; null: none is."""
    train = tuple(view for place, view in enumerate(views) if not hold or place % hold)
    return train, tuple(views[::hold]) if hold else ()
