"""From Gaussians to PLY files."""

from __future__ import annotations

from pathlib import Path

import torch

from bags.io.ply import PlyGaussians, from_splats, write_ply
from bags.modules.gaussians import Gaussians


@torch.no_grad()
def to_ply(path: Path, gaussians: Gaussians) -> None:
    """Write a PLY in the common 3DGS layout, the 3D filter baked into scale and opacity so that any viewer shows it."""
    write_ply(path, from_splats(gaussians.splats()))


def unfiltered(gaussians: Gaussians) -> PlyGaussians:
    """The parameters as they are trained, before activation, with the 3D filter beside them."""
    arrays = {name: getattr(gaussians, name).detach() for name in gaussians.PARAMETERS}
    return PlyGaussians(**arrays, filter_sigma=gaussians.filter_sigma)
