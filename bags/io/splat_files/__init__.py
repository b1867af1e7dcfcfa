"""Gaussians in the file formats of other programs, one format per module. Files contain what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bags.io import ply
from bags.io.atomic import replacing
from bags.io.ply import PlyGaussians, from_splats
from bags.io.splat_files import compressed_ply, sog, splat, spz
from bags.types import Splats

# By the name of the format: its suffix, and a function that writes float32 CPU tensors before activation to a path.
FORMATS: dict[str, tuple[str, Callable[[Path, PlyGaussians], None]]] = {
    "ply": (".ply", ply.write),
    "compressed_ply": (".compressed.ply", compressed_ply.write),
    "splat": (".splat", splat.write),
    "spz": (".spz", spz.write),
    "sog": (".sog", sog.write),
}


def write_splats(stem: Path, splats: Splats, kind: str) -> Path:
    """Write ``splats`` in one step, replacing an earlier file.

    Args:
        stem: the file without its suffix.
        splats: activated, 3D filter applied; at least one.
        kind: one of ``FORMATS``.

    Returns:
        The file.

    Raises:
        DataError: the format cannot represent these Gaussians.
    """
    suffix, write = FORMATS[kind]
    path = stem.with_name(f"{stem.name}{suffix}")
    gaussians = from_splats(splats.detach().to("cpu"))
    with replacing(path) as temporary:
        write(temporary, gaussians)
    return path
