"""Tables as Markdown, LaTeX, CSV and on the console; the best values are bold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from bags.summary.table import Cell, Table

CSV_HEAD = ("table", "quantity", "row", "column", "mean", "spread", "runs", "best")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def to_markdown(tables: Sequence[Table]) -> str:
    """A heading for each table, a Markdown table for each of its sections."""
    parts = []
    for table in tables:
        parts.append(f"## {table.title}")
        for section in table.sections:
            lines = [[section.title or table.head[0], *table.head[1:]], ["---", *["---:"] * (len(table.head) - 1)]]
            lines += [[row.name, *(f"**{c}**" if c.best else str(c) for c in row.cells)] for row in section.rows]
            parts.append(
                "\n".join("| " + " | ".join(part.replace("|", "\\|") for part in line) + " |" for line in lines)
            )
        parts.append("\n".join(table.notes))
    return "\n\n".join(parts) + "\n"


def to_latex(tables: Sequence[Table]) -> str:
    """A ``table`` environment for each; needs the package booktabs."""
    return "\n".join("\n".join(_latex_lines(table)) + "\n" for table in tables)


def _latex_lines(table: Table) -> Iterator[str]:
    def line(parts: Sequence[str]) -> str:
        return " & ".join(parts) + r" \\"

    yield from (r"\begin{table}", r"\centering", rf"\caption{{{latex(table.title)}. {latex(' '.join(table.notes))}}}")
    yield rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
    yield from (r"\toprule", line([latex(name) for name in table.head]))
    for section in table.sections:
        yield r"\midrule"
        if section.title:
            yield line([rf"\multicolumn{{{len(table.head)}}}{{l}}{{\emph{{{latex(section.title)}}}}}"])
        for row in section.rows:
            cells = [rf"\textbf{{{latex(str(c))}}}" if c.best else latex(str(c)) for c in row.cells]
            yield line([latex(row.name), *cells])
    yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def latex(text: str) -> str:
    """``text`` with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def to_csv(tables: Sequence[Table]) -> str:
    """A line per cell, in full precision, for spreadsheets and data frames; cells without a value are left out."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for table in tables:
        for section in table.sections:
            for row in section.rows:
                for column, cell in zip(table.head[1:], row.cells, strict=True):
                    if cell.mean is not None:
                        quantity = section.title or column
                        writer.writerow([table.title, quantity, row.name, column, *_csv_parts(cell)])
    return buffer.getvalue()


def _csv_parts(cell: Cell) -> list[object]:
    return [cell.mean, "" if cell.spread is None else cell.spread, cell.runs or "", "yes" if cell.best else ""]


def show(tables: Sequence[Table], console: Console) -> None:
    """Print every table."""
    for table in tables:
        shown = RichTable(title=escape(table.title), title_justify="left")
        for i, name in enumerate(table.head):
            shown.add_column(escape(name), justify="right" if i else "left")
        for section in table.sections:
            shown.add_section()
            if section.title:
                shown.add_row(f"[italic]{escape(section.title)}[/]")
            for row in section.rows:
                shown.add_row(escape(row.name), *(f"[bold]{c}[/]" if c.best else str(c) for c in row.cells))
        console.print(shown)
        for note in table.notes:
            console.print(note, highlight=False, markup=False)


def plain_rows(table: Table) -> list[list[str]]:
    """A table as text for a logger: quantity, row, cells; the best values have a star."""
    return [
        [section.title, row.name, *(f"{c} *" if c.best else str(c) for c in row.cells)]
        for section in table.sections
        for row in section.rows
    ]
