"""How much memory a run took at most."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch


def reset_peaks() -> None:
    """Let the peaks start from what is in use now: the jobs of a sweep share one process.

    Main memory's peak can be reset on Linux only; elsewhere a later job of a sweep also reports the earlier ones'.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak resident size
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """Largest resident memory of this process since ``reset_peaks``, in MB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def gpu_memory_mb() -> float | None:
    """Most GPU memory that tensors held since ``reset_peaks``, in MB; None where no GPU was used."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    return round(used / 1e6, 1) if used else None
