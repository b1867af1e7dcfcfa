"""How much memory is free."""

from __future__ import annotations

import os
from pathlib import Path

import torch

MACHINE, GROUPS = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that this process can still take: of the machine or what its control group leaves it, or of a GPU.

    What caches hold counts as free. Where the system does not say, all of the machine's memory does.
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    try:
        lines = dict(line.split(":", 1) for line in MACHINE.read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([free, *(left for group in _own_groups() if (left := _left_in(group)) is not None)])


def _own_groups() -> list[Path]:
    """The control groups of this process, from its own to the root: each of them may have a limit (version 2)."""
    try:
        line = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[-1]
    except (OSError, IndexError):
        return []
    own = Path(line.split(":", 2)[-1].lstrip("/"))
    return [GROUPS / part for part in (own, *own.parents)]


def _left_in(group: Path) -> int | None:
    """Bytes that a control group may still take; None: it has no limit."""
    try:
        limit, used = ((group / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if limit == "max" else int(limit) - int(used) + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):
        return None
