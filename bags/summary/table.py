"""Tables, independent of their output format; means, spreads and the best of a row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Cell:
    """A mean over runs.

    Attributes:
        mean: None if there is no value.
        spread: sample standard deviation over the seeds; None for fewer than two.
        runs: number of runs; 0 for a published figure.
        digits: after the decimal point.
        best: whether it is the best of its row, or of its column in a table of methods.
    """

    mean: float | None
    spread: float | None = None
    runs: int = 0
    digits: int = 2
    best: bool = False

    def __str__(self) -> str:
        if self.mean is None:
            return "-"
        spread = "" if self.spread is None else f" ± {self.spread:.{self.digits}f}"
        return f"{self.mean:.{self.digits}f}{spread}"


@dataclass(frozen=True)
class Row:
    """Cells with a name."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Rows of one quantity; ``title`` is empty if the columns name the quantities."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Sections over the same columns.

    Attributes:
        title: of the table.
        head: names of the columns, starting with that of the row names.
        sections: in order.
        notes: lines below it.
    """

    title: str
    head: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()


def cell(values: Sequence[float | None], digits: int) -> Cell:
    """Mean and spread of the runs that have a value."""
    there = [value for value in values if value is not None]
    if not there:
        return Cell(None, digits=digits)
    spread = statistics.stdev(there) if len(there) > 1 else None
    return Cell(statistics.fmean(there), spread, len(there), digits)


def mark_best(cells: Sequence[Cell], larger: bool, able: Sequence[bool] | None = None) -> tuple[Cell, ...]:
    """Mark the best of at least two cells; all of them if they are equal when rounded as shown.

    Args:
        cells: to compare.
        larger: whether larger is better; otherwise smaller.
        able: which cells may be the best; None: all.
    """
    able = able or [True] * len(cells)
    means = [c.mean for c, may in zip(cells, able, strict=True) if may and c.mean is not None]
    if len(means) < 2:
        return tuple(cells)
    best = max(means) if larger else min(means)
    return tuple(
        replace(c, best=bool(may and c.mean is not None and f"{c.mean:.{c.digits}f}" == f"{best:.{c.digits}f}"))
        for c, may in zip(cells, able, strict=True)
    )
