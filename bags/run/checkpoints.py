"""Which checkpoint a task uses, by ``ckpt_path``."""

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

    ``auto`` is the last one of a run of exactly this configuration, and none if there is no such run. If the last one
    is damaged or missing, the previous one is used, with a warning if it is damaged.

    Args:
        settings: the run's.
        default: used if ``ckpt_path`` is null; None: no checkpoint.

    Raises:
        BagsError: there is no such file, or it is damaged; lists the existing ones.
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
    """The last intact checkpoint in ``folder``; None if none was written.

    Raises:
        BagsError: there are checkpoints, but all are damaged.
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
            f"no intact checkpoint: {damaged[0]} is damaged; select another with ckpt_path= ({those_in(folder)})"
        )
    return None


def written(run: Path) -> list[tuple[int, int] | None]:
    """Identity and time of the files that show a run's progress: all that ``checkpoint`` and ``finished`` use."""
    found: list[tuple[int, int] | None] = []
    for name in ("config.yaml", "metrics.json", f"checkpoints/{LAST}", f"checkpoints/{PREVIOUS}"):
        try:
            file = (run / name).stat()
            found.append((file.st_ino, file.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def take_place(path: Path) -> Path:
    """Rename ``previous.ckpt`` to ``last.ckpt``, if it is what ``newest`` found.

    Otherwise the next checkpoint would replace the intact file by the damaged one.
    """
    if path.name != PREVIOUS:
        return path
    last = path.with_name(LAST)
    os.replace(path, last)
    return last


def those_in(folder: Path) -> str:
    """The checkpoints in ``folder``, as text."""
    return f"in {folder}: {', '.join(sorted(path.name for path in folder.glob('*.ckpt'))) or 'none'}"
