"""Which device a run uses: the CPU, or CUDA if there is a device and a rasteriser for it."""

from __future__ import annotations

import os

import torch

from bags.errors import SettingError
from bags.rendering import gsplat_backend
from bags.settings import RasterizerSettings, TrainerSettings

NEEDS_CPU, NEEDS_CUDA = ("numba",), ("gsplat", "diff_gaussian")


def choose_device(trainer: TrainerSettings, rasterizer: RasterizerSettings) -> torch.device:
    """Device of the run's tensors, by ``trainer.accelerator`` and ``rasterizer.name``.

    ``auto`` chooses CUDA if torch sees a device and a rasteriser can draw on it, else the CPU. To check that, gsplat's
    kernels are loaded, which may compile them for minutes the first time on a machine.

    Raises:
        SettingError: a GPU is requested, by either key, but torch sees none, or fewer than ``trainer.devices``; or the
            two keys contradict each other.
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
        raise SettingError("rasterizer.name", name, f"needs a CUDA device, but {why}: use auto or numba")
    idle = accelerator == "auto" and idle_cuda(trainer, rasterizer)
    if accelerator == "cpu" or not there or name in NEEDS_CPU or idle:
        return torch.device("cpu")
    if (devices := trainer.devices) > torch.cuda.device_count():
        raise SettingError("trainer.devices", devices, f"torch sees only {torch.cuda.device_count()} CUDA device(s)")
    # Lightning sets this variable to the index of the process on its machine.
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if devices > 1 else torch.device("cuda")


def idle_cuda(trainer: TrainerSettings, rasterizer: RasterizerSettings) -> str | None:
    """Why ``auto`` does not use an existing CUDA device, as a message for the user; None if it uses it."""
    wanted = trainer.accelerator == "auto" and rasterizer.name == "auto"
    if wanted and torch.cuda.is_available() and (reason := gsplat_backend.why_not()):
        return f"there is a CUDA device but no rasteriser for it, so the CPU is used: {reason}"
    return None
