"""Finished runs, found and read; an unusable folder is named and left out."""

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
    """What a finished run says of itself.

    Attributes:
        folder: where it is.
        scene, seed: of the run.
        column: what it is a run of: the values of ``summarize.columns``.
        device: in words.
        figures: by protocol: ``psnr``, ``ssim``, ``lpips``, each a number or None; those of ``CORRECTED`` if computed.
        agreement: of what was said of the photos' blur with the truth: ``blur_kind_share``, ``blur_direction_error``,
            ``blur_rank_correlation``, each a number or None.
        costs: ``train_seconds``, ``peak_memory_mb``, ``gpu_memory_mb``, ``num_gaussians``, each a number or None.
        config: its whole configuration, dotted keys to values.
        finished: when its metrics were written, seconds since the epoch.
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
        patterns: globs of run folders below ``root``. Runs that were set aside for a later one of the same name count
            only where a pattern names their folder in full.
        columns: dotted keys of the configuration.

    Returns:
        Runs in the order of their folders, and a line for each folder or pattern that is of no use.

    Raises:
        SettingError: a pattern is no glob.
    """
    runs, problems, seen = [], [], set()
    for pattern in patterns:
        try:
            files = sorted(root.glob(f"{pattern}/metrics.json"))
        except ValueError as error:
            raise SettingError("summarize.runs", pattern, f"{error}; write * for a part of a name") from error
        if not files:
            problems.append(f"{root / pattern}: no finished run there")
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
                problems.append(f"{file.parent} is left out, its files are not a finished run's: {reason}")
    return sorted(runs, key=lambda run: run.folder), problems


def read_run(folder: Path, columns: Sequence[str]) -> Run:
    """The run in ``folder``.

    Raises:
        DataError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError: it is not a finished run.
    """
    file = folder / "metrics.json"
    metrics = read_json(file)
    config = flat(read_yaml(folder / "config.yaml"))
    # Runs of before both protocols were stored have one.
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
    """A finite number, or None where there is null.

    Raises:
        ValueError: anything else.
    """
    value = values[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{key} is {value!r}, not a number")
    return float(value)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def column_part(config: Mapping[str, Any], key: str) -> str:
    """How a column says the value of ``key``; a run of before that key existed has a dash."""
    value = config.get(key, "-")
    return str(value) if key in ("model.name", "group", "name") else f"{key.rsplit('.', 1)[-1]}={value}"
