"""A run's folder: creating it, moving an earlier one aside, locking it, and checking what it contains."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from bags.errors import BagsError, DataError
from bags.io.atomic import explained, sweep
from bags.io.documents import read_json, read_yaml
from bags.io.records import plain, write_text
from bags.settings import Settings
from bags.system.locks import locked


def begin(settings: Settings) -> Path | None:
    """Create the folder of a training run with its ``config.yaml``, and remove a killed run's incomplete files.

    An earlier run of the same name is not overwritten. Its folder is renamed first, unless this run resumes from a
    checkpoint, or continues an unfinished run of the same configuration (``ckpt_path=auto``).

    Returns:
        The new folder of an earlier run of the same name, or None.

    Raises:
        BagsError: the folder cannot be written.
    """
    folder, aside = settings.folder, None
    with explained(folder):
        anew = settings.ckpt_path is None or (settings.ckpt_path == "auto" and not same_run(settings))
        if anew and (folder / "config.yaml").exists():
            made = datetime.fromtimestamp((folder / "config.yaml").stat().st_mtime, tz=timezone.utc)
            aside = folder.with_name(f"{folder.name}.{made:%Y%m%d-%H%M%S}")
            os.rename(folder, aside)
        (folder / "metrics.json").unlink(missing_ok=True)  # it is written last and marks a finished run
        write_text(folder / "config.yaml", yaml.safe_dump(_stored(settings), sort_keys=False))
        sweep(folder)
    return aside


def same_run(settings: Settings) -> bool:
    """Whether the run's folder has a run of exactly this configuration, finished or not.

    Settings that say how and where to run, but not what, may differ: ``HOW`` and ``HOW_TO_TRAIN``.
    """
    try:
        stored = read_yaml(settings.folder / "config.yaml")
    except DataError:
        return False
    return _what(stored) == _what(_stored(settings))


def _stored(settings: Settings) -> dict[str, Any]:
    """Content of ``config.yaml``: the settings, with an absolute ``dataset.root``."""
    config: dict[str, Any] = plain(asdict(settings))
    if config["dataset"]["root"]:
        config["dataset"]["root"] = os.path.abspath(config["dataset"]["root"])
    return config


HOW = (
    "task",
    "name",
    "group",
    "output_root",
    "ckpt_path",
    "prepare",
    "render",
    "export",
    "benchmark",
    "summarize",
    "viewer",
)
HOW_TO_TRAIN = ("accelerator", "threads", "progress")  # below ``trainer``


def _what(config: Any) -> Any:
    if not isinstance(config, dict) or not isinstance(config.get("trainer"), dict):
        return None
    trainer = {key: value for key, value in config["trainer"].items() if key not in HOW_TO_TRAIN}
    return {key: value for key, value in config.items() if key not in HOW} | {"trainer": trainer}


def finished(settings: Settings) -> bool:
    """Whether exactly this configuration has been trained and evaluated in the run's folder."""
    return (settings.folder / "metrics.json").is_file() and same_run(settings)


def psnr(settings: Settings) -> float:
    """The mean PSNR in the run's ``metrics.json``; NaN if there is none."""
    try:
        return float(read_json(settings.folder / "metrics.json")["psnr"])
    except (DataError, KeyError, TypeError, ValueError, OverflowError):  # no file; null without test views
        return float("nan")


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Prevent other processes from training in the same folder; the lock is released when the process ends.

    Raises:
        BagsError: another process is training there; names it.
    """
    path = settings.folder.with_name(f".{settings.folder.name}.lock")
    with ExitStack() as stack:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a full disk raises in the write below, not a second time when the file is closed.
            file = stack.enter_context(open(path, "a+b", buffering=0, opener=_no_link))
            if locked(file.fileno()) is False:
                owner = "another process"
                with suppress(OSError):  # on Windows, locked files cannot be read
                    file.seek(0)
                    owner = file.read().decode(errors="replace")
                raise BagsError(f"{settings.folder} is being trained by {owner}: wait for it, or stop it")
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _no_link(path: str, flags: int) -> int:
    """Open a file without following a link, whose target may belong to someone else."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
