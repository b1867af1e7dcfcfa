"""From Gaussians to PLY files."""

from __future__ import annotations

from pathlib import Path

from bags.io.ply import PlyGaussians, bake_filter, write_ply
from bags.modules.gaussians import Gaussians


def to_ply(path: Path, gaussians: Gaussians) -> None:
    """Write a PLY in the common 3DGS layout, the 3D filter baked into scale and opacity so that any viewer shows it."""
    arrays = {name: getattr(gaussians, name).detach().cpu() for name in gaussians.PARAMETERS}
    write_ply(path, bake_filter(PlyGaussians(**arrays, filter_sigma=gaussians.filter_sigma.cpu())))
