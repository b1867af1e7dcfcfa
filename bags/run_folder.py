"""A run's folder: made, set aside, written to and read from; every write is atomic."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from bags.errors import BagsError
from bags.io.atomic import replacing
from bags.settings import Settings


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that ``path`` holds either what it held before or all of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` as indented JSON, atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``rows`` as CSV, atomically: a column for every key of the first row, in its order; None is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def begin(settings: Settings) -> Path | None:
    """Make the folder of a training run and store its resolved configuration as ``config.yaml``.

    An earlier run of the same name is not overwritten: unless this one goes on from a checkpoint, or from where an
    unfinished run of the same configuration was left (``ckpt_path=auto``), its folder is renamed first.

    Returns:
        Where an earlier run of the same name was set aside, or None.

    Raises:
        BagsError: the folder cannot be written.
    """
    folder, aside = settings.folder, None
    try:
        anew = settings.ckpt_path is None or (settings.ckpt_path == "auto" and not same_run(settings))
        if anew and (folder / "config.yaml").exists():
            made = datetime.fromtimestamp((folder / "config.yaml").stat().st_mtime, tz=timezone.utc)
            aside = folder.with_name(f"{folder.name}.{made:%Y%m%d-%H%M%S}")
            os.rename(folder, aside)
        (folder / "metrics.json").unlink(missing_ok=True)  # written last: what is there is finished
        write_text(folder / "config.yaml", yaml.safe_dump(plain(asdict(settings)), sort_keys=False))
    except OSError as error:
        raise BagsError(
            f"cannot write to {folder}: {error.strerror}; choose another place with output_root="
        ) from error
    return aside


def same_run(settings: Settings) -> bool:
    """Does the run's folder hold a run of this very configuration, finished or not?

    Settings that say how and where to run, not what, may differ: ``HOW`` and ``HOW_TO_TRAIN``.
    """
    try:
        stored = yaml.safe_load((settings.folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    return _what(stored) == _what(plain(asdict(settings)))


HOW = ("task", "name", "group", "output_root", "ckpt_path", "render", "benchmark", "summarize", "viewer")
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
        return float(json.loads((settings.folder / "metrics.json").read_text(encoding="utf-8"))["psnr"])
    except FileNotFoundError:
        return float("nan")


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Keep other processes from training in the same folder meanwhile; the lock goes with the process.

    Raises:
        BagsError: one does already; names it.
    """
    path = settings.folder.with_name(f".{settings.folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BagsError(f"{settings.folder} is being trained by {file.read()}: wait for it, or end it") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def plain(value: Any) -> Any:
    """``value`` with tuples as lists, as YAML and the settings reader know them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def checkpoint(settings: Settings, default: str | None = None) -> Path | None:
    """The checkpoint that ``ckpt_path`` names: a path, ``last``, or the number of a saved step.

    ``auto`` is the last one of a run of this very configuration, and none where there is no such run.

    Args:
        settings: the run's.
        default: used where ``ckpt_path`` is null; None: no checkpoint.

    Raises:
        BagsError: there is no such file; names those that there are.
    """
    name = settings.ckpt_path or default
    if name == "auto" and default is not None:
        name = default
    if name is None:
        return None
    folder = settings.folder / "checkpoints"
    if name == "auto":
        last = folder / "last.ckpt"
        return last if last.is_file() and same_run(settings) else None
    file = {"last": "last.ckpt"}.get(name, f"step_{name}.ckpt" if name.isdigit() else None)
    path = folder / file if file else Path(name)
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.glob("*.ckpt"))) or "none"
        raise BagsError(f"ckpt_path = {name!r}: no checkpoint at {path} (in {folder}: {there})")
    return path
