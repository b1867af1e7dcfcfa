"""The same table in every format, read back."""

from __future__ import annotations

import csv
import io

from rich.console import Console

from bags.summary import formats
from bags.summary.table import Cell, Row, Section, Table

TABLE = Table(
    "Test views, a_b protocol",
    ("scene", "x & y", "z|[bold]"),
    (
        Section("PSNR ↑", (Row("50% [red]", (Cell(20.123, 0.456, 3, best=True), Cell(19.0, None, 1))),)),
        Section("LPIPS ↓", (Row("50% [red]", (Cell(0.25, digits=4), Cell(None))),)),
    ),
    ("A note: $5.",)
)  # fmt: skip


def test_markdown() -> None:
    lines = formats.to_markdown([TABLE, TABLE]).splitlines()
    assert lines[0] == "## Test views, a_b protocol" and lines.count(lines[0]) == 2
    assert lines[2:5] == [
        "| PSNR ↑ | x & y | z\\|[bold] |",
        "| --- | ---: | ---: |",
        "| 50% [red] | **20.12 ± 0.46** | 19.00 |",
    ]
    assert "| 50% [red] | 0.2500 | - |" in lines and "A note: $5." in lines


def test_latex() -> None:
    text = formats.to_latex([TABLE])
    lines = text.splitlines()
    assert r"scene & x \& y & z|[bold] \\" in lines
    assert r"50\% [red] & \textbf{20.12 $\pm$ 0.46} & 19.00 \\" in lines
    assert r"\multicolumn{3}{l}{\emph{LPIPS $\downarrow$}} \\" in lines
    assert r"\caption{Test views, a\_b protocol. A note: \$5.}" in lines
    assert r"\begin{tabular}{lrr}" in lines
    assert text.isascii() and text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_escapes_every_special_character() -> None:
    assert formats.latex("\\ & % $ # _ { } ~ ^") == (
        r"\textbackslash{} \& \% \$ \# \_ \{ \} \textasciitilde{} \textasciicircum{}"
    )


def test_csv_in_full_precision() -> None:
    rows = list(csv.DictReader(io.StringIO(formats.to_csv([TABLE]))))
    assert tuple(rows[0]) == formats.CSV_HEAD
    assert [(row["quantity"], row["column"], row["mean"], row["spread"], row["runs"], row["best"]) for row in rows] == [
        ("PSNR ↑", "x & y", "20.123", "0.456", "3", "yes"),
        ("PSNR ↑", "z|[bold]", "19.0", "", "1", ""),
        ("LPIPS ↓", "x & y", "0.25", "", "", ""),
    ]


def test_console() -> None:
    console = Console(record=True, file=io.StringIO(), width=100, force_terminal=True)
    formats.show([TABLE], console)
    styled = console.export_text(styles=True, clear=False)
    text = console.export_text()
    for part in ("50% [red]", "z|[bold]", "20.12 ± 0.46", "PSNR ↑", "A note: $5."):
        assert part in text
    assert "\x1b[1m20.12 ± 0.46\x1b[0m" in styled, "the best is bold"


def test_rows_for_loggers() -> None:
    assert formats.plain_rows(TABLE)[0] == ["PSNR ↑", "50% [red]", "20.12 ± 0.46 *", "19.00"]
