"""Time and memory of a function."""

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
    """Median milliseconds of a call, its spread (largest minus smallest), and memory at its peak beyond the start."""

    ms: float
    spread_ms: float
    mb: float | None


def measure(call: Callable[[], object], repeats: int, device: torch.device | str = "cpu") -> Measured:
    """Call once to compile, once for memory, then ``repeats`` times for the time; each time wait for ``device``."""
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
    """One line of the table and of the JSON file; ``plain`` None: the alternative was not measured."""
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
    """MB of GPU memory that ``call`` needs at its peak beyond what is there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def peak_mb(call: Callable[[], object]) -> float | None:
    """MB of resident memory that ``call`` needs at its peak beyond what is there before; None where unknown.

    Linux only: the kernel's high-water mark is reset first, and freed memory is given back, so that the call cannot
    hide in it.
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
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)
