"""Measures time and memory of a function."""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Measured:
    """Median milliseconds of a call, their spread (largest minus smallest), and peak memory beyond the start."""

    ms: float
    spread_ms: float
    mb: float | None


def measure(call: Callable[[], object], repeats: int, device: torch.device | str = "cpu") -> Measured:
    """Call once to compile, once for memory, and ``repeats`` times for the time; wait for ``device`` each time."""
    cuda = torch.device(device).type == "cuda"
    wait = torch.cuda.synchronize if cuda else _nothing
    call()
    wait()
    mb = cuda_peak_mb(call) if cuda else peak_mb(call)
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        wait()
        times.append((time.perf_counter() - begin) * 1e3)
    return Measured(statistics.median(times), max(times) - min(times), mb)


def row(name: str, ours: Measured, plain: Measured | None, **more: Any) -> dict[str, Any]:
    """One row of the table and of the JSON file; ``plain`` is None if plain PyTorch was not measured."""
    plain_mb = None if plain is None else plain.mb
    memory = None if ours.mb is None or plain_mb is None else plain_mb / max(ours.mb, 1e-3)
    return {
        "name": name,
        "ours_ms": round(ours.ms, 2),
        "ours_spread_ms": round(ours.spread_ms, 2),
        "plain_ms": None if plain is None else round(plain.ms, 2),
        "ratio": None if plain is None else round(plain.ms / ours.ms, 2),
        "ours_mb": None if ours.mb is None else round(ours.mb, 1),
        "plain_mb": None if plain_mb is None else round(plain_mb, 1),
        "memory_ratio": None if memory is None else round(memory, 2),
        **more,
    }


def _nothing() -> None:
    pass


def cuda_peak_mb(call: Callable[[], object]) -> float:
    """Peak GPU memory of ``call`` in MB, beyond what was allocated before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def peak_mb(call: Callable[[], object]) -> float | None:
    """Peak resident memory of ``call`` in MB, beyond what was used before; None if unknown.

    Linux only: freed memory is returned to the system first, so that the call cannot reuse it unnoticed, and the
    kernel's high-water mark is reset.
    """
    if not sys.platform.startswith("linux") or not CLEAR.exists():
        return None
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        CLEAR.write_text("5")
    except OSError:
        return None
    before = _status("VmRSS")
    call()
    return (_status("VmHWM") - before) * 1024 / 1e6


def _status(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)
