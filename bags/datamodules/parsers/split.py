"""Which views are held out for testing."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from bags.datamodules.parsers.photos import parts_of
from bags.errors import DataError
from bags.io.documents import read_text

log = logging.getLogger(__name__)

PUBLISHED_HOLD = 8  # of LLFF and the papers that follow it
TEST_LIST = "test.txt"


def split(names: Sequence[str], root: Path, hold: int | str | None, listed: Collection[str] | None = None) -> set[str]:
    """Names of the test views.

    If ``dataset.hold`` is ``auto``, the scene's folder decides: by a list of test views, ``test.txt``, or by an empty
    file ``hold=N``, as LLFF has it. A number or null in the settings (a scene's preset, the command line) overrides
    these files, with a warning if they differ.

    Args:
        names: of all views, in order, including those with missing photos, so that these do not shift the others.
        root: the scene's folder.
        hold: ``dataset.hold``: every ``hold``-th view, starting with the first, is a test view; None: none is.
        listed: test views in the data set's own file; used if ``root`` has no file that decides.

    Raises:
        DataError: there are several such files, one has no usable number, or a name in the list is not that of a view.
    """
    stated, list_file = _stated(root), root / TEST_LIST
    if list_file.is_file() and stated is not None:
        raise DataError(f"{root}: has {TEST_LIST} and hold={stated}; keep one of these files")
    if list_file.is_file() and hold == "auto":
        return _listed(list_file, names)
    if list_file.is_file():
        log.warning("%s lists test views, but dataset.hold=%s overrides it", list_file, hold)
    if stated is not None and hold not in ("auto", stated):
        log.warning("%s has a file hold=%d, but dataset.hold=%s overrides it", root, stated, hold)
    if hold == "auto" and stated is None and listed is not None:
        return set(listed)
    if hold == "auto":
        hold = PUBLISHED_HOLD if stated is None else stated
    assert not isinstance(hold, str)
    return set(names[::hold]) if hold else set()


def _listed(path: Path, names: Sequence[str]) -> set[str]:
    """Names of the views listed in ``path``, one photo per line, as a path below the folder of photos."""
    found = set()
    for line in map(str.strip, read_text(path).splitlines()):
        if line and not line.startswith("#"):
            parts = parts_of(line)
            name = next((name for i in range(len(parts)) if (name := "_".join(parts[i:])) in names), None)
            if name is None:
                close = difflib.get_close_matches("_".join(parts), names, n=1)
                hint = f"did you mean {close[0]}" if close else f"there are {', '.join(sorted(names)[:3])}, ..."
                raise DataError(f"{path}: the scene has no photo {line!r} ({hint}); correct or remove the line")
            found.add(name)
    return found


def _stated(root: Path) -> int | None:
    files = sorted(path.name for path in root.glob("hold=*"))
    if not files:
        return None
    if len(files) > 1:
        raise DataError(f"{root}: has {' and '.join(files)}; keep one of these files, or set dataset.hold=N")
    number = files[0].removeprefix("hold=")
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) >= 2):
        raise DataError(f"{root / files[0]}: hold=N needs a whole number, at least 2; rename it, or set dataset.hold=N")
    return int(number)
