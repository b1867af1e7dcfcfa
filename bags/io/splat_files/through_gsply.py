"""Access to gsply, which writes some of the formats."""

from __future__ import annotations

import importlib
from typing import Any

from bags.io.ply import PlyGaussians


def gsply() -> Any:
    """The package; imported here, because few runs need it and Numba. Its compiled code is cached where ours is."""
    from bags.ops.numba_cache import place

    config: Any = importlib.import_module("numba.core.config")
    if not config.CACHE_DIR and (folder := place()) is not None:
        config.CACHE_DIR = str(folder)
    return importlib.import_module("gsply")


def data_of(gaussians: PlyGaussians) -> Any:
    """A ``gsply.GSData`` with the same numbers."""
    rest = gaussians.sh_rest
    return gsply().GSData.from_arrays(
        means=gaussians.means.numpy(),
        scales=gaussians.log_scales.numpy(),
        quats=gaussians.rotations.numpy(),
        opacities=gaussians.opacity_logits.numpy(),
        sh0=gaussians.sh_dc[:, 0].numpy(),
        shN=rest.contiguous().numpy() if rest.shape[1] else None,
    )
