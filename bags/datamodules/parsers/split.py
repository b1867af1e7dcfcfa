"""Which views are held out to test on."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path

from bags.errors import DataError
from bags.types import View

log = logging.getLogger(__name__)

PUBLISHED_HOLD = 8  # of LLFF and all that follow it
TEST_LIST = "test.txt"


def split(views: Sequence[View], root: Path, hold: int | str | None) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Training and test views.

    Where ``dataset.hold`` is ``auto``, the scene's folder answers: a list of test views, ``test.txt``, or an empty file
    ``hold=N``, LLFF's habit. A number or null in the settings (a scene's preset, the command line) wins over the files,
    with a warning where they differ.

    Args:
        views: sorted by name.
        root: the scene's folder.
        hold: ``dataset.hold``: every so many-th view, from the first, is a test view; null: none is.

    Raises:
        DataError: several such files, one without a usable number, or a name in the list that no view has.
    """
    stated, listed = _stated(root), root / TEST_LIST
    if listed.is_file() and stated is not None:
        raise DataError(f"{root}: {TEST_LIST} and hold={stated}: keep one of these files")
    if listed.is_file() and hold == "auto":
        names = _listed(listed, views)
        return tuple(v for v in views if v.name not in names), tuple(v for v in views if v.name in names)
    if listed.is_file():
        log.warning("%s lists test views, but dataset.hold=%s is what counts", listed, hold)
    if stated is not None and hold not in ("auto", stated):
        log.warning("%s says hold=%d, but dataset.hold=%s is what counts", root, stated, hold)
    if hold == "auto":
        hold = PUBLISHED_HOLD if stated is None else stated
    assert not isinstance(hold, str)
    train = tuple(view for place, view in enumerate(views) if not hold or place % hold)
    return train, tuple(views[::hold]) if hold else ()


def _listed(path: Path, views: Sequence[View]) -> set[str]:
    """Names of the views that the lines of ``path`` name, as they are below the folder of photos."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); one photo's name a line") from error
    known = {view.name for view in views}
    names = {line.replace("/", "_"): line for line in lines if line and not line.startswith("#")}
    for name, line in names.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known)[:3])}, ..."
            raise DataError(f"{path}: no photo {line!r} in the COLMAP model; {hint} Or take the line out")
    return set(names)


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
