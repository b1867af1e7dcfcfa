"""How many jobs of a sweep can run on this machine at once."""

from __future__ import annotations

import os

import torch

from bags.ops.threads import available_cores
from bags.run.device import choose_device
from bags.settings import Settings
from bags.system.memory import free_memory


def places(settings: Settings, cores: int, memory_gb: float, limit: int | None = None) -> list[dict[str, str]]:
    """One entry per job that may run at the same time: environment variables that keep it apart from the others.

    With CUDA devices: as many jobs as the devices allow (``trainer.devices`` each), and every job sees only its own. On
    the CPU: one job for every ``cores * trainer.devices`` cores that this process may use. In both cases no more than
    fit into the free memory, no more than ``limit``, and at least one.

    Args:
        settings: of a job.
        cores: CPU cores of each of a job's processes, on the CPU.
        memory_gb: main memory of a job.
        limit: largest number of jobs at once; None: no limit.
    """
    if choose_device(settings.trainer, settings.rasterizer).type == "cuda":
        n = settings.trainer.devices
        devices = visible_devices()
        found = [{"CUDA_VISIBLE_DEVICES": ",".join(devices[i : i + n])} for i in range(0, len(devices) - n + 1, n)]
    else:
        found = [
            {"OMP_NUM_THREADS": str(cores)} for _ in range(available_cores() // (cores * settings.trainer.devices))
        ]
    most = min(int(available_memory_gb() // memory_gb), len(found) if limit is None else limit)
    return found[: max(1, most)] or [{}]


def visible_devices() -> list[str]:
    """The CUDA devices that this process may use, in the notation of ``CUDA_VISIBLE_DEVICES``."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(i) for i in range(torch.cuda.device_count())]


def available_memory_gb() -> float:
    """Free main memory in GB."""
    return free_memory() / 1e9
