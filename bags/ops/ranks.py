"""Reductions over the processes of distributed training; without it, they do nothing."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum of ``tensor`` over all processes, in place and bitwise equal on each; every process must call it."""
    if world_size() > 1:
        dist.all_reduce(tensor, dist.ReduceOp.SUM)
    return tensor


def max_over_ranks(tensor: Tensor) -> Tensor:
    """Elementwise maximum of ``tensor`` over all processes, in place; every process must call it."""
    if world_size() > 1:
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is set on any process. Every process must call it. Waits for the processes, never for a GPU."""
    return bool(max_over_ranks(torch.tensor(int(flag)))) if world_size() > 1 else flag
