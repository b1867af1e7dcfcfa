"""PlayCanvas's compressed PLY: 10 or 11 bits of position, scale and rotation, 8 of the rest; written by gsply."""

from __future__ import annotations

from pathlib import Path

from bags.io.ply import PlyGaussians, taken
from bags.io.splat_files.through_gsply import data_of, gsply
from bags.ops.morton import morton_order


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write the file. Bounds are kept for every 256 Gaussians, so neighbours come after each other."""
    near = taken(gaussians, morton_order(gaussians.means))
    path.write_bytes(gsply().compress_to_bytes(data_of(near)))
