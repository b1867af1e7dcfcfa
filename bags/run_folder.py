"""A run's folder: made, set aside, written to and read from; every write is atomic."""

from __future__ import annotations

import json
import os
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


def begin(settings: Settings) -> Path | None:
    """Make the folder of a training run and store its resolved configuration as ``config.yaml``.

    An earlier run of the same name is not overwritten: unless this one goes on from a checkpoint, its folder is
    renamed first.

    Returns:
        Where an earlier run of the same name was set aside, or None.

    Raises:
        BagsError: the folder cannot be written.
    """
    folder, aside = settings.folder, None
    try:
        if settings.ckpt_path is None and (folder / "config.yaml").exists():
            made = datetime.fromtimestamp((folder / "config.yaml").stat().st_mtime, tz=timezone.utc)
            aside = folder.with_name(f"{folder.name}.{made:%Y%m%d-%H%M%S}")
            os.rename(folder, aside)
        write_text(folder / "config.yaml", yaml.safe_dump(plain(asdict(settings)), sort_keys=False))
    except OSError as error:
        raise BagsError(
            f"cannot write to {folder}: {error.strerror}; choose another place with output_root="
        ) from error
    return aside


def plain(value: Any) -> Any:
    """``value`` with tuples as lists, as YAML and the settings reader know them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def checkpoint(settings: Settings, default: str | None = None) -> Path | None:
    """The checkpoint that ``ckpt_path`` names: a path, ``last``, or the number of a saved step.

    Args:
        settings: the run's.
        default: used where ``ckpt_path`` is null; None: no checkpoint.

    Raises:
        BagsError: there is no such file; names those that there are.
    """
    name = settings.ckpt_path or default
    if name is None:
        return None
    folder = settings.folder / "checkpoints"
    file = {"last": "last.ckpt"}.get(name, f"step_{name}.ckpt" if name.isdigit() else None)
    path = folder / file if file else Path(name)
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.glob("*.ckpt"))) or "none"
        raise BagsError(f"ckpt_path = {name!r}: no checkpoint at {path} (in {folder}: {there})")
    return path
