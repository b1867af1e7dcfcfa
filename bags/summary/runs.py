"""Finds and reads finished runs; unusable folders are reported and left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bags.errors import BagsError, SettingError
from bags.io.documents import read_json, read_yaml

METRICS = ("psnr", "ssim", "lpips")
CORRECTED = tuple(f"{name}_colour_corrected" for name in METRICS)  # in runs with ``metrics.colour_corrected``
AGREEMENT = ("blur_kind_share", "blur_direction_error", "blur_rank_correlation")
COSTS = ("train_seconds", "peak_memory_mb", "gpu_memory_mb", "num_gaussians")
SET_ASIDE = re.compile(r"\.\d{8}-\d{6}$")  # as bags.run.folder.begin renames an earlier run of the same name


@dataclass(frozen=True)
class Run:
    """The results of a finished run.

    Attributes:
        folder: of the run.
        scene, seed: of the run.
        column: values of ``summarize.columns``, as text.
        device: its name.
        figures: by protocol: ``psnr``, ``ssim``, ``lpips``, each a number or None; those of ``CORRECTED`` if computed.
        agreement: of estimated and true blur of the photos: ``blur_kind_share``, ``blur_direction_error``,
            ``blur_rank_correlation``, each a number or None.
        costs: ``train_seconds``, ``peak_memory_mb``, ``gpu_memory_mb``, ``num_gaussians``, each a number or None.
        config: its whole configuration, from dotted keys to values.
        finished: time when its metrics were written, seconds since the epoch.
    """

    folder: Path
    scene: str
    seed: int
    column: str
    device: str
    figures: Mapping[str, Mapping[str, float | None]]
    agreement: Mapping[str, float | None]
    costs: Mapping[str, float | None]
    config: Mapping[str, Any]
    finished: float


def find_runs(root: Path, patterns: Sequence[str], columns: Sequence[str]) -> tuple[list[Run], list[str]]:
    """Read every finished run whose folder matches a pattern.

    Args:
        root: of the outputs.
        patterns: globs of run folders below ``root``. Earlier runs that were moved aside for a later one of the same
            name are included only if a pattern is exactly their folder.
        columns: dotted keys of the configuration.

    Returns:
        Runs in the order of their folders, and a message for each unusable folder or pattern.

    Raises:
        SettingError: a pattern is not a valid glob.
    """
    runs, problems, seen = [], [], set()
    for pattern in patterns:
        try:
            files = sorted(root.glob(f"{pattern}/metrics.json"))
        except ValueError as error:
            raise SettingError("summarize.runs", pattern, f"{error}; use * for a part of a name") from error
        if not files:
            problems.append(f"{root / pattern}: there is no finished run")
        for file in files:
            folder = file.parent.relative_to(root)
            aside = any(SET_ASIDE.search(part) for part in folder.parts) and str(folder) != pattern.rstrip("/")
            if aside or folder in seen:
                continue
            seen.add(folder)
            try:
                runs.append(read_run(file.parent, columns))
            except (BagsError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
                problems.append(f"{file.parent} is left out: its files are not those of a finished run ({reason})")
    return sorted(runs, key=lambda run: run.folder), problems


def read_run(folder: Path, columns: Sequence[str]) -> Run:
    """The run in ``folder``.

    Raises:
        DataError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError: it is not a finished run.
    """
    file = folder / "metrics.json"
    metrics = read_json(file)
    config = flat(read_yaml(folder / "config.yaml"))
    # Older runs have stored only one protocol.
    protocols = metrics["protocols"] if "protocols" in metrics else {metrics["protocol"]: metrics}
    figures = {
        str(name): {key: number(found, key) for key in (*METRICS, *(key for key in CORRECTED if key in found))}
        for name, found in protocols.items()
    }
    return Run(
        folder=folder,
        scene=str(config["scene"]),
        seed=int(config["seed"]),
        column=", ".join(column_part(config, key) for key in columns),
        device=str(metrics.get("device", "unknown device")),
        figures=figures,
        agreement={key: number({key: metrics.get(key)}, key) for key in AGREEMENT},
        costs={key: number({key: metrics.get(key)}, key) for key in COSTS},
        config=config,
        finished=file.stat().st_mtime,
    )


def number(values: Mapping[str, Any], key: str) -> float | None:
    """A finite number, or None for null.

    Raises:
        ValueError: anything else.
    """
    value = values[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{key} is {value!r}, not a finite number")
    return float(value)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def column_part(config: Mapping[str, Any], key: str) -> str:
    """The value of ``key`` in a column's name; a dash for older runs without that key."""
    value = config.get(key, "-")
    return str(value) if key in ("model.name", "group", "name") else f"{key.rsplit('.', 1)[-1]}={value}"
