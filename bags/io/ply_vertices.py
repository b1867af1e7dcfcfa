"""The vertices of PLY files: a table with named columns of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
LONGEST_LINE = 10_000  # of a header; bytes


def write_vertices(path: Path, rows: NDArray[Any], comments: Sequence[str] = ()) -> None:
    """Write a structured array of float32 as the element ``vertex`` (binary, little endian)."""
    names = rows.dtype.names or ()
    table = rows.astype([(name, "<f4") for name in names], copy=False)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {comment}" for comment in comments),
        f"element vertex {len(rows)}",
        *(f"property float {name}" for name in names),
        "end_header",
    ]
    with path.open("wb") as file:
        file.write("\n".join([*header, ""]).encode("ascii"))
        table.tofile(file)


def read_vertices(path: Path) -> NDArray[Any]:
    """The element ``vertex`` as a structured array, from text or binary of either byte order.

    It must be the file's first element and have no lists, as written by all known programs.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file, or is truncated.
    """
    if not path.is_file():  # opening a pipe would wait
        raise FileNotFoundError("no such file")
    with path.open("rb") as file:
        order, count, columns = _header(file)
        kind = np.dtype([(name, order + code) for name, code in columns])
        if not columns or count < 0:
            raise ValueError("it has no vertices with numbers")
        if order == ORDERS["ascii"]:
            return _text(file, count, kind)
        if path.stat().st_size - file.tell() < count * kind.itemsize:
            raise ValueError(f"truncated: the header states {count} vertices")
        return np.fromfile(file, kind, count)


def _header(file: BinaryIO) -> tuple[str, int, list[tuple[str, str]]]:
    if file.readline(LONGEST_LINE).strip() != b"ply":
        raise ValueError("not a PLY file")
    order, count, columns, element = "", -1, [], 0
    while (words := _words(file)) != ["end_header"]:
        match words:
            case ["format", form, "1.0"] if form in ORDERS:
                order = ORDERS[form]
            case ["element", "vertex", number] if element == 0:
                count, element = int(number), 1
            case ["element", _, number] if element >= 1:
                element += 1
            case ["property", kind, name] if element == 1 and kind in KINDS:
                columns.append((name, KINDS[kind]))
            case ["property", *_] if element > 1:
                pass
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ValueError(f"its header has the unsupported line: {' '.join(words)}")
    if not order:
        raise ValueError("its header states no format")
    return order, count, columns


def _words(file: BinaryIO) -> list[str]:
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("its header is incomplete")
    return line.decode("ascii", "replace").split()


def _text(file: BinaryIO, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an empty table
        rows = np.loadtxt(file, dtype=kind, max_rows=count, ndmin=1) if count else np.empty(0, kind)
    if len(rows) < count:
        raise ValueError(f"truncated: the header states {count} vertices")
    return rows
