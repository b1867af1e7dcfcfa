"""From runs to tables, with a row per scene and a column per model or experiment."""

from __future__ import annotations

from collections.abc import Sequence

from bags.summary.cells import Cells
from bags.summary.ladder import Ladder
from bags.summary.published import beside_published
from bags.summary.quantities import BLUR, COSTS, Quantity, quality
from bags.summary.runs import Run
from bags.summary.table import Cell, Row, Section, Table, mark_best

GAP = "0 %: no blur model on these photos; 100 %: no blur model on the same world's sharp photos."


def section(cells: Cells, columns: Sequence[str], quantity: Quantity, marked: bool = True) -> Section | None:
    """A row per scene, and one for the average over the scenes that all columns have, if there are several.

    None without any value.
    """

    def row(name: str, found: list[Cell]) -> Row:
        larger = quantity.larger
        return Row(name, tuple(found) if larger is None or not marked else mark_best(found, larger))

    table = {s: [cells.cell(s, column, quantity) for column in columns] for s in cells.scenes}
    used = [i for i in range(len(columns)) if any(found[i].mean is not None for found in table.values())]
    if not used:
        return None
    rows = [row(scene, found) for scene, found in table.items() if any(c.mean is not None for c in found)]
    shared = [scene for scene, found in table.items() if all(found[i].mean is not None for i in used)]
    if len(shared) > 1:
        name = f"average of {len(shared)}" + ("" if len(shared) == len(rows) else ": those that all columns have")
        rows.append(row(name, [cells.average(shared, column, quantity) for column in columns]))
    return Section(quantity.name, tuple(rows))


def table_of(
    cells: Cells, title: str, quantities: Sequence[Quantity], notes: Sequence[str] = (), marked: bool = True
) -> list[Table]:
    """The table of these quantities, with a note on its seeds before the other ``notes``; none without any value.

    Rows and columns without any value are left out: in the table of test views, for example, runs without any.
    """
    runs = {
        column: [cells.cell(s, column, quantity).runs for s in cells.scenes for quantity in quantities]
        for column in cells.columns
    }
    columns = [column for column, counts in runs.items() if any(counts)]
    if not columns:
        return []
    found = tuple(s for quantity in quantities if (s := section(cells, columns, quantity, marked)))
    counts = sorted({count for column in columns for count in runs[column]} - {0})
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    note = f"Means over {seeds} per cell" + (", ± sample standard deviation." if counts[-1] > 1 else ".")
    return [Table(title, ("scene", *columns), found, (note, *notes))]


def tables(runs: Sequence[Run]) -> tuple[list[Table], list[str]]:
    """All tables of ``runs``.

    There is one for each protocol, one for the share of the gap closed and one for the estimated blur if the truth is
    known, one for the cost, and one for each data set with published averages.

    Returns:
        The tables, and messages about runs that were left out or should not share a cell.
    """
    cells = Cells(runs)
    kept = [run for seeds in cells.runs.values() for run in seeds.values()]
    made = []
    for protocol in sorted({protocol for run in kept for protocol in run.figures}):
        figures = [*quality(protocol), *quality(protocol, "_colour_corrected")]
        made += table_of(cells, f"Test views, {protocol} protocol", figures)
    ladder = Ladder(cells)
    made += table_of(cells, "Share of the gap closed", ladder.quantities(), [GAP])
    made += table_of(cells, "Estimated blur of the training photos against the truth", BLUR)
    devices = sorted({run.device for run in kept})
    made += table_of(cells, "Cost", COSTS, [f"Measured on: {'; '.join(devices)}."], marked=len(devices) == 1)
    return made + beside_published(kept), cells.problems + ladder.problems
