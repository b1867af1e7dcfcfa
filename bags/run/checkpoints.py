"""Which checkpoint a task takes: what ``ckpt_path`` names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from bags.errors import BagsError, DataError
from bags.run.checkpoint_io import LAST, PREVIOUS, Saved
from bags.run.folder import same_run
from bags.settings import Settings

log = logging.getLogger(__name__)


def checkpoint(settings: Settings, default: str | None = None) -> Saved | None:
    """The checkpoint that ``ckpt_path`` names: a path, ``last``, or the number of a saved step.

    ``auto`` is the last one of a run of this very configuration, and none where there is no such run. Where the last
    one is damaged or missing, the previous one takes its place, with a warning.

    Args:
        settings: the run's.
        default: used where ``ckpt_path`` is null; None: no checkpoint.

    Raises:
        BagsError: there is no such file, or it is damaged; names those that there are.
    """
    name = settings.ckpt_path or default
    if name == "auto" and default is not None:
        name = default
    if name is None or (name == "auto" and not same_run(settings)):
        return None
    folder = settings.folder / "checkpoints"
    if name in ("auto", "last"):
        found, path = newest(folder), folder / LAST
        if found or name == "auto":
            return found
    else:
        path = folder / f"step_{name}.ckpt" if name.isdigit() else Path(name)
    if not path.is_file():
        raise BagsError(f"ckpt_path = {name!r}: no checkpoint at {path} ({those_in(folder)})")
    return Saved(path)


def newest(folder: Path) -> Saved | None:
    """The last checkpoint in ``folder`` that is whole; None where none was ever written.

    Raises:
        BagsError: there are some, and none can be used.
    """
    damaged = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            saved = Saved(path)
        except DataError as error:
            log.warning("%s", error)
            damaged.append(path)
        else:
            if damaged:
                log.warning("using %s instead", path)
            return saved
    if damaged:
        raise BagsError(
            f"no intact checkpoint: {damaged[0]} cannot be used; select another with ckpt_path= ({those_in(folder)})"
        )
    return None


def written(run: Path) -> list[tuple[int, int] | None]:
    """Files and times that show how far a run is: all that ``checkpoint`` and ``finished`` look at in its folder."""
    found: list[tuple[int, int] | None] = []
    for name in ("config.yaml", "metrics.json", f"checkpoints/{LAST}", f"checkpoints/{PREVIOUS}"):
        try:
            file = (run / name).stat()
            found.append((file.st_ino, file.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def take_place(path: Path) -> Path:
    """Let ``previous.ckpt``, where it is what ``newest`` found, be ``last.ckpt``.

    Without it the next checkpoint would push the good file out for the damaged one.
    """
    if path.name != PREVIOUS:
        return path
    last = path.with_name(LAST)
    os.replace(path, last)
    return last


def those_in(folder: Path) -> str:
    """The checkpoints of ``folder`` in words."""
    return f"in {folder}: {', '.join(sorted(path.name for path in folder.glob('*.ckpt'))) or 'none'}"
