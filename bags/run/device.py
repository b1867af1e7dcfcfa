"""Which machine part a run uses: the CPU, or a CUDA device where there is one and a rasteriser for it."""

from __future__ import annotations

import os

import torch

from bags.errors import SettingError
from bags.rendering import gsplat_backend
from bags.settings import RasterizerSettings, TrainerSettings

NEEDS_CPU, NEEDS_CUDA = ("numba",), ("gsplat", "diff_gaussian")


def choose_device(trainer: TrainerSettings, rasterizer: RasterizerSettings) -> torch.device:
    """Where the run's tensors live, by ``trainer.accelerator`` and ``rasterizer.name``.

    ``auto`` takes CUDA where torch sees it and there is a rasteriser that can draw, else the CPU. To know, it loads
    gsplat's kernels, which may compile them for minutes the first time on a machine.

    Raises:
        SettingError: a GPU is asked for, by either key, and torch sees none, or fewer than ``trainer.devices``; or the
            two keys exclude each other.
    """
    accelerator, name = trainer.accelerator, rasterizer.name
    there = torch.cuda.is_available()
    if accelerator == "gpu" and not there:
        raise SettingError(
            "trainer.accelerator", "gpu", f"torch {torch.__version__} sees no CUDA device: use auto or cpu"
        )
    if accelerator == "gpu" and name in NEEDS_CPU:
        raise SettingError("rasterizer.name", name, "draws on the CPU only: use auto with accelerator=gpu")
    if name in NEEDS_CUDA and (accelerator == "cpu" or not there):
        why = "trainer.accelerator=cpu" if accelerator == "cpu" else f"torch {torch.__version__} sees none"
        raise SettingError("rasterizer.name", name, f"needs a CUDA device, and {why}: use auto or numba")
    idle = accelerator == "auto" and idle_cuda(trainer, rasterizer)
    if accelerator == "cpu" or not there or name in NEEDS_CPU or idle:
        return torch.device("cpu")
    if (devices := trainer.devices) > torch.cuda.device_count():
        raise SettingError("trainer.devices", devices, f"torch sees {torch.cuda.device_count()} CUDA device(s)")
    # Lightning tells each of several processes in this way which one it is.
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if devices > 1 else torch.device("cuda")


def idle_cuda(trainer: TrainerSettings, rasterizer: RasterizerSettings) -> str | None:
    """Why ``auto`` leaves a CUDA device that is there unused, to be told; None where it does not."""
    wanted = trainer.accelerator == "auto" and rasterizer.name == "auto"
    if wanted and torch.cuda.is_available() and (reason := gsplat_backend.why_not()):
        return f"there is a CUDA device but nothing to draw on it with, using the CPU: {reason}"
    return None
