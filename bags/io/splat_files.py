"""Gaussians as files of other programs: what is drawn goes in, whatever model it came from."""

from __future__ import annotations

import importlib
from pathlib import Path

from bags.errors import BagsError, to_install
from bags.io.atomic import replacing
from bags.io.ply import from_splats, write_ply
from bags.types import Splats

# Our names: those of gsplat's exporter, and the usual suffix.
GSPLAT_FORMATS = {"compressed_ply": ("ply_compressed", ".compressed.ply"), "splat": ("splat", ".splat")}


def write_splats(stem: Path, splats: Splats, kind: str) -> Path:
    """Write ``splats`` in one step, replacing an earlier file.

    Args:
        stem: the file without its suffix.
        splats: activated, 3D filter applied.
        kind: ``ply`` (the common 3DGS layout, all of it), ``compressed_ply`` (PlayCanvas's, 8 to 11 bits a number) or
            ``splat`` (8 bits, colours without view dependence); the last two are written by gsplat, which needs no GPU
            for it.

    Returns:
        The file.

    Raises:
        BagsError: gsplat is needed and not installed.
    """
    if kind == "ply":
        path = stem.with_name(f"{stem.name}.ply")
        write_ply(path, from_splats(splats))
        return path
    name, suffix = GSPLAT_FORMATS[kind]
    path = stem.with_name(f"{stem.name}{suffix}")
    data = _by_gsplat(splats, name, kind)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return path


def _by_gsplat(splats: Splats, name: str, kind: str) -> bytes:
    try:
        export_splats = importlib.import_module("gsplat").export_splats
    except (ImportError, AttributeError) as error:
        raise BagsError(
            f"export.formats: {kind} is written by gsplat ({error}); install it with: {to_install('export')},"
            " or export ply and convert that"
        ) from error
    g = from_splats(splats.to("cpu"))
    data: bytes = export_splats(g.means, g.log_scales, g.rotations, g.opacity_logits, g.sh_dc, g.sh_rest, format=name)
    return data
