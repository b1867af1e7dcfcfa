"""Selects the rasteriser by name and device. The backends do not depend on this module, nor on each other."""

from __future__ import annotations

import torch

from bags.errors import BagsError, SettingError
from bags.rendering.base import Rasterizer, TwoStageRasterizer

# Device type of each rasteriser; None: any.
DEVICES = {"numba": "cpu", "gsplat": "cuda", "diff_gaussian": "cuda", "reference": None}


def make_rasterizer(name: str, device: torch.device | str, *, absolute_gradients: bool = False) -> Rasterizer:
    """The rasteriser called ``name`` for tensors on ``device``; imports only that backend.

    Args:
        name: ``numba`` (CPU, fast), ``gsplat`` or ``diff_gaussian`` (CUDA, fast), ``reference`` (torch, any device and
            float type, slow), or ``auto`` for gsplat on CUDA and numba on the CPU.
        device: of the Gaussians.
        absolute_gradients: fill ``RenderOutput.absolute``; gsplat only.

    Raises:
        BagsError: no such rasteriser, it does not run on this device, its package is not installed, or it has no
            absolute gradients.
    """
    kind = torch.device(device).type
    chosen = {"cpu": "numba", "cuda": "gsplat"}.get(kind) if name == "auto" else name
    if chosen is None:
        raise BagsError(f"there is no fast rasteriser for device {kind!r}: use trainer.accelerator=cpu")
    if chosen not in DEVICES:
        raise SettingError("rasterizer.name", name, f"must be one of auto, {', '.join(DEVICES)}")
    if DEVICES[chosen] not in (None, kind):
        raise BagsError(
            f"rasterizer.name={chosen} draws on {DEVICES[chosen]!r}, but the Gaussians are on {kind!r}: "
            "use rasterizer.name=auto, or change trainer.accelerator"
        )
    if absolute_gradients and chosen != "gsplat":
        raise SettingError(
            "rasterizer.absolute_gradients", True, f"{chosen}, used on {kind!r}, has none: only gsplat (CUDA) does"
        )
    return _load(chosen, absolute_gradients)


def _load(name: str, absolute_gradients: bool) -> Rasterizer:
    """Import one backend; each import is in its branch, so that no other backend's libraries are loaded."""
    if name == "gsplat":
        from bags.rendering import gsplat_backend

        return gsplat_backend.load(absolute_gradients)
    if name == "diff_gaussian":
        from bags.rendering import diff_gaussian_backend

        return diff_gaussian_backend.load()
    if name == "numba":
        from bags.rendering import numba_backend

        return TwoStageRasterizer(numba_backend.project, numba_backend.rasterize)
    from bags.rendering import reference

    return TwoStageRasterizer(reference.project, reference.rasterize)
