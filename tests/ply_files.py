"""PLY files as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

KINDS = {"f4": "float", "f8": "double", "u1": "uchar", "u2": "ushort", "i4": "int"}
ORDERS: dict[str, Literal["<", ">"]] = {"binary_little_endian": "<", "binary_big_endian": ">"}


def as_written_elsewhere(path: Path, rows: NDArray[Any], form: str = "binary_little_endian") -> None:
    """``rows`` as vertices of any kinds, in any order of bytes or as text, and a face with its list after them."""
    names = rows.dtype.names or ()
    columns = [f"property {KINDS[rows.dtype[name].str[1:]]} {name}" for name in names]
    header = ["ply", f"format {form} 1.0", "comment made elsewhere", f"element vertex {len(rows)}", *columns]
    header += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    if form == "ascii":
        body = "".join(" ".join(map(repr, row.tolist())) + "\n" for row in rows).encode() + b"3 0 0 0\n"
    else:
        body = rows.astype(rows.dtype.newbyteorder(ORDERS[form])).tobytes() + b"\3" + bytes(12)
    path.write_bytes("\n".join(header).encode() + body)
