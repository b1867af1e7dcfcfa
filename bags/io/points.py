"""Points with colours from PLY files, as written by photogrammetry programs and nerfstudio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bags.errors import DataError
from bags.io.ply_vertices import read_vertices

PLACES = ("x", "y", "z")
COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
GREY = 128.0


def read_points(path: Path) -> NDArray[np.float64]:
    """(P, 6) position, and colour in [0, 255]; mid-grey if the file has no colours.

    Raises:
        DataError: there is no such file, or it is not a PLY file, is truncated, or has no points with x, y and z.
    """
    try:
        vertices = read_vertices(path)
        names = vertices.dtype.names or ()
        places = [vertices[name].astype(np.float64) for name in PLACES]
        found = next((keys for keys in COLOURS if set(keys) <= set(names)), ())
        levels = [_levels(vertices[name]) for name in found] or [np.full(len(vertices), GREY)] * 3
        return np.column_stack([*places, *levels])
    except Exception as error:  # a damaged file may raise many kinds
        raise DataError(
            f"{path}: cannot be read as a PLY file of points ({str(error) or type(error).__name__}); create it again"
        ) from error


def _levels(column: NDArray[np.generic]) -> NDArray[np.float64]:
    """Levels from 0 to 255; floating-point colours are taken to be from 0 to 1."""
    full = {"f": 1.0, "u": float(2 ** (8 * column.dtype.itemsize) - 1)}.get(column.dtype.kind, 255.0)
    return np.clip(np.nan_to_num(column.astype(np.float64)) * (255 / full), 0, 255)
