"""Training curves as points of small SVG drawings."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bags.errors import DataError
from bags.io.documents import read_text

log = logging.getLogger(__name__)

WIDTH, HEIGHT = 600, 180  # of a drawing, in SVG units
COLUMNS = ("step", "loss", "psnr", "gaussians", "divisor")
LARGEST = 1e12  # limit of numbers that are drawn


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps.

    Attributes:
        title: its name.
        points: ``x,y`` pairs of the line, in SVG's format.
        low, high, last: smallest, largest and last value, as text.
        first_step, last_step: ends of the horizontal axis.
        changes: positions at which the training resolution changes.
    """

    title: str
    points: str
    low: str
    high: str
    last: str
    first_step: int
    last_step: int
    changes: tuple[float, ...]


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of ``history.csv`` (``bags.callbacks.History``) in ascending order of steps; none without such a file.

    Invalid rows are left out, because the rest of the report does not need them.
    """
    if not path.is_file():
        return []
    rows: list[dict[str, float]] = []
    try:
        for cells in csv.DictReader(io.StringIO(read_text(path))):
            row = _numbers(cells)
            if row and (not rows or row["step"] > rows[-1]["step"]):
                rows.append(row)
    except (DataError, csv.Error) as error:
        log.warning("%s: the report's curves are incomplete: %s", path, error)
    return rows


def _numbers(cells: Mapping[str, str]) -> dict[str, float] | None:
    """The cells of ``COLUMNS`` as finite numbers; None if one is not."""
    try:
        row = {key: float(cells[key]) for key in COLUMNS}
    except (KeyError, TypeError, ValueError):
        return None
    return row if all(abs(value) < LARGEST for value in row.values()) else None


def curves(history: Sequence[dict[str, float]]) -> list[Curve]:
    """Loss (on a logarithmic scale), PSNR and number of Gaussians; nothing for fewer than two rows."""
    if len(history) < 2:
        return []
    return [
        _curve(history, "loss", "Loss (logarithmic scale)", "{:.4f}", lambda value: math.log(max(value, 1e-12))),
        _curve(history, "psnr", "PSNR of the predicted blurry photo, dB", "{:.1f}", float),
        _curve(history, "gaussians", "Gaussians", "{:,.0f}", float),
    ]


def _curve(
    history: Sequence[dict[str, float]], key: str, title: str, form: str, scale: Callable[[float], float]
) -> Curve:
    steps, values = [row["step"] for row in history], [row[key] for row in history]
    heights = [scale(value) for value in values]
    low, high = min(heights), max(heights)
    flat = high == low

    def across(step: float) -> float:
        return round(WIDTH * (step - steps[0]) / (steps[-1] - steps[0]), 1)

    def up(height: float) -> float:
        return HEIGHT / 2 if flat else round(HEIGHT * (1 - (height - low) / (high - low)), 1)

    return Curve(
        title=title,
        points=" ".join(f"{across(step)},{up(height)}" for step, height in zip(steps, heights, strict=True)),
        low=form.format(min(values)),
        high=form.format(max(values)),
        last=form.format(values[-1]),
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        changes=tuple(across(row["step"]) for before, row in pairwise(history) if row["divisor"] != before["divisor"]),
    )
