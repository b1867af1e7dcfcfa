"""A run's folder: made, set aside, written to and read from; every write is atomic."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from bags.errors import BagsError, DataError
from bags.io.atomic import explained, replacing, sweep
from bags.io.documents import read_json, read_yaml
from bags.settings import Settings


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that ``path`` holds either what it held before or all of it.

    What is not UTF-8, as names of files from other systems, is escaped.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` as indented JSON, atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``rows`` as CSV, atomically: a column for every key of the first row, in its order; None is left empty.

    Text that a spreadsheet would take for a formula, as a photo may be called, gets an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def begin(settings: Settings) -> Path | None:
    """Make the folder of a training run, tidied of what a killed one left half written, with its ``config.yaml``.

    An earlier run of the same name is not overwritten: unless this one goes on from a checkpoint, or from where an
    unfinished run of the same configuration was left (``ckpt_path=auto``), its folder is renamed first.

    Returns:
        Where an earlier run of the same name was set aside, or None.

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
        (folder / "metrics.json").unlink(missing_ok=True)  # written last: what is there is finished
        write_text(folder / "config.yaml", yaml.safe_dump(_stored(settings), sort_keys=False))
        sweep(folder)
    return aside


def same_run(settings: Settings) -> bool:
    """Does the run's folder hold a run of this very configuration, finished or not?

    Settings that say how and where to run, not what, may differ: ``HOW`` and ``HOW_TO_TRAIN``.
    """
    try:
        stored = read_yaml(settings.folder / "config.yaml")
    except DataError:
        return False
    return _what(stored) == _what(_stored(settings))


def _stored(settings: Settings) -> dict[str, Any]:
    """What ``config.yaml`` holds: the settings, with a ``dataset.root`` that is found from any folder."""
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
    """Was this very configuration trained and judged in the run's folder?"""
    return (settings.folder / "metrics.json").is_file() and same_run(settings)


def psnr(settings: Settings) -> float:
    """The mean PSNR in the run's ``metrics.json``; NaN where there is none."""
    try:
        return float(read_json(settings.folder / "metrics.json")["psnr"])
    except (DataError, KeyError, TypeError, ValueError, OverflowError):  # no file; null without test views
        return float("nan")


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Keep other processes from training in the same folder meanwhile; the lock goes with the process.

    Raises:
        BagsError: one does already; names it.
    """
    path = settings.folder.with_name(f".{settings.folder.name}.lock")
    with ExitStack() as stack:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a full disk is told by the write below, not once more when the file is closed.
            file = stack.enter_context(open(path, "a+b", buffering=0, opener=_no_link))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                owner = file.read().decode(errors="replace")
                raise BagsError(f"{settings.folder} is being trained by {owner}: wait for it, or end it") from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _no_link(path: str, flags: int) -> int:
    """Opens a file, and only a file: what a link points at is none of ours."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def plain(value: Any) -> Any:
    """``value`` with tuples as lists, as YAML and the settings reader know them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
