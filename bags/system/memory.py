"""How much memory is free, and how much a run took at most."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import torch

# Of Linux, and not known to psutil: the peak, and the control groups of containers and schedulers.
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
OWN, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Of control groups, version 2 and 1: files of the limit and of what is taken; what of it, in memory.stat, caches hold.
VERSIONS = (
    ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that this process can still take: of the machine or what its control group leaves it, or of a GPU.

    What caches hold of files counts as free.
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    free = psutil.virtual_memory().available
    return min([free, *(left for group in _own_groups() if (left := _left_in(group)) is not None)])


def in_words(count: int) -> str:
    """``count`` bytes."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _own_groups() -> list[Path]:
    """The control groups of this process, from its own to the root: each of them may have a limit."""
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
    """Bytes that a control group may still take; None: it has no limit."""
    for limit, used, caches in VERSIONS:
        try:
            most, taken = ((group / name).read_text(encoding="ascii").strip() for name in (limit, used))
            stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
            return None if most == "max" else int(most) - int(taken) + sum(int(stat.get(name, 0)) for name in caches)
        except (OSError, ValueError):
            continue
    return None


def reset_peaks() -> None:
    """Let the peaks start from what is in use now: the jobs of a sweep share one process.

    Main memory's peak can be reset on Linux only; elsewhere a later job of a sweep also reports the earlier ones'.
    """
    with contextlib.suppress(OSError):
        CLEAR.write_text("5", encoding="ascii")  # proc(5): resets the peak resident size
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """Largest resident memory of this process since ``reset_peaks``, in MB; what it is now where nobody counts."""
    with contextlib.suppress(OSError, StopIteration):
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3
    used = psutil.Process().memory_info()
    return getattr(used, "peak_wset", used.rss) / 1e6  # Windows'


def gpu_memory_mb() -> float | None:
    """Most GPU memory that tensors held since ``reset_peaks``, in MB; None where no GPU was used."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    return round(used / 1e6, 1) if used else None
