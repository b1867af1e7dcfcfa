"""Random draws that are functions of seed, step and purpose: there is no state to save or restore."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

CPU = torch.device("cpu")


def generator(seed: int, step: int, purpose: str, device: torch.device = CPU) -> torch.Generator:
    """A separate generator for one ``purpose`` at one ``step`` of the run with seed ``seed``."""
    key = zlib.crc32(f"{seed}/{step}/{purpose}".encode())
    return torch.Generator(device).manual_seed((seed << 32) ^ key)


def uniform(shape: tuple[int, ...], seed: int, step: int, purpose: str) -> Tensor:
    """Uniform draws in [0, 1) of ``shape``, on the CPU."""
    return torch.rand(shape, generator=generator(seed, step, purpose))


def normal(shape: tuple[int, ...], seed: int, step: int, purpose: str, device: torch.device = CPU) -> Tensor:
    """Standard normal draws of ``shape``, made on ``device``; CUDA's are others than the CPU's."""
    return torch.randn(shape, generator=generator(seed, step, purpose, device), device=device)
