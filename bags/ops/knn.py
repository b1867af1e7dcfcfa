"""Nearest neighbours, for the initial scales."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from bags.errors import BagsError

log = logging.getLogger(__name__)

KERNEL_NEIGHBOURS = 3  # number that simple-knn's function uses


def mean_square_distance(points: Tensor, neighbours: int = 3, method: str = "auto") -> Tensor:
    """Mean squared distance of each point to its ``neighbours`` nearest other points (docs/method.md section 1).

    Args:
        points: (P, 3).
        neighbours: how many; a smaller cloud uses all its points.
        method: ``scipy`` (KD-tree on the CPU), ``simple_knn`` (Inria's extension, CUDA tensors), or ``auto`` for
            simple_knn where the points are on CUDA and it is installed.

    Returns:
        (P,) of the points' dtype and device; zero for a single point.

    Raises:
        BagsError: ``simple_knn`` was requested but is not installed, or cannot handle these points.
    """
    fits = points.is_cuda and neighbours == KERNEL_NEIGHBOURS < len(points)
    if method == "simple_knn" and not fits:
        raise BagsError(
            f"model.gaussians.neighbours=simple_knn needs more than {KERNEL_NEIGHBOURS} points on CUDA, but there are "
            f"{len(points)} on {points.device}: use auto or scipy"
        )
    if fits and method != "scipy" and (kernel := simple_knn(required=method == "simple_knn")) is not None:
        return kernel(points.detach().float().contiguous()).to(points.dtype)
    return _kd_tree(points, neighbours)


def simple_knn(required: bool = False) -> Callable[[Tensor], Tensor] | None:
    """``distCUDA2`` of Inria's simple-knn, or None if that is not installed.

    The package of the same name on PyPI is unrelated; it has no ``simple_knn._C`` and is never used.

    Raises:
        BagsError: it is required but not installed.
    """
    try:
        kernel: Callable[[Tensor], Tensor] = importlib.import_module("simple_knn._C").distCUDA2
        return kernel
    except (ImportError, AttributeError) as error:
        reason = f"no distCUDA2 in simple_knn._C ({error}); the simple-knn on PyPI is another package"
    if required:
        raise BagsError(f"model.gaussians.neighbours=simple_knn: {reason}; docs/rasterizers.md says how to build it")
    log.debug("neighbours by scipy on the CPU: %s", reason)
    return None


def _kd_tree(points: Tensor, neighbours: int) -> Tensor:
    xyz = points.detach().cpu().numpy().astype(np.float64)
    count = min(neighbours, len(xyz) - 1)
    if count < 1:
        return torch.zeros_like(points[:, 0])
    distance, _ = cKDTree(xyz).query(xyz, k=count + 1)
    return torch.from_numpy((distance[:, 1:] ** 2).mean(axis=1)).to(points)
