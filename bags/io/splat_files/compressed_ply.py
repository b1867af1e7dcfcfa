"""PlayCanvas's compressed PLY: 10 or 11 bits for position, scale and rotation, 8 for the rest; written by gsply."""

from __future__ import annotations

from pathlib import Path

from bags.io.ply import PlyGaussians, taken
from bags.io.splat_files.through_gsply import data_of, gsply
from bags.ops.morton import morton_order


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write the file. Bounds are stored per 256 Gaussians, so these are sorted to be neighbours in space."""
    near = taken(gaussians, morton_order(gaussians.means))
    path.write_bytes(gsply().compress_to_bytes(data_of(near)))
