"""Free memory, and peak memory of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import torch

# On Linux, beyond what psutil offers: the peak, and the control groups of containers and schedulers.
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
OWN, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Of control groups, version 2 and 1: files of the limit and of the usage; entries of memory.stat for file caches.
VERSIONS = (
    ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that this process can still allocate: on the machine within its control groups, or on a GPU.

    File caches count as free.
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    free = psutil.virtual_memory().available
    return min([free, *(left for group in _own_groups() if (left := _left_in(group)) is not None)])


def in_words(count: int) -> str:
    """``count`` bytes as text, such as ``87 bytes``, ``3.4 kB``, ``120 MB`` or ``12.3 GB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            amount = count / unit
            return f"{amount:.{1 if amount < 10 or name == 'GB' else 0}f} {name}"
    return f"{count:.0f} bytes"


def _own_groups() -> list[Path]:
    """The control groups of this process up to the root; each of them may have a limit."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    groups = []
    for _, controllers, name in (line.split(":", 2) for line in lines):
        if "memory" in controllers.split(",") or not controllers:  # version 1, 2
            own = Path(name.lstrip("/"))
            groups += [GROUPS / controllers / part for part in (own, *own.parents)]
    return groups


def _left_in(group: Path) -> int | None:
    """Bytes that a control group may still allocate; None: it has no limit."""
    for limit, used, caches in VERSIONS:
        try:
            most, taken = ((group / name).read_text(encoding="ascii").strip() for name in (limit, used))
            stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
            return None if most == "max" else int(most) - int(taken) + sum(int(stat.get(name, 0)) for name in caches)
        except (OSError, ValueError):
            continue
    return None


def reset_peaks() -> None:
    """Reset the peaks to the current use, because the jobs of a sweep may share one process.

    The peak of main memory can be reset only on Linux. Elsewhere, later jobs of a sweep also report the peak of
    earlier ones.
    """
    with contextlib.suppress(OSError):
        CLEAR.write_text("5", encoding="ascii")  # proc(5): resets the peak resident size
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """Peak resident memory of this process since ``reset_peaks``, in MB; the current one if the system has no peak."""
    with contextlib.suppress(OSError, StopIteration):
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    used = psutil.Process().memory_info()
    return getattr(used, "peak_wset", used.rss) / 1e6  # peak_wset: on Windows


def gpu_memory_mb() -> float | None:
    """Peak GPU memory of tensors since ``reset_peaks``, in MB; None if no GPU was used."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    return round(used / 1e6, 1) if used else None
