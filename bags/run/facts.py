"""What results depend on besides the settings: versions of packages, and the machine."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from bags import __version__
from bags.ops.threads import thread_count

PROCESSOR = Path("/proc/cpuinfo")  # on Linux, where Python's platform module has no name of the processor


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    packages = ["torch", "lightning", "numba", "numpy", "hydra-core", "pillow", "scikit-image", "torchmetrics", "lpips"]
    packages += [name for name in ("gsplat",) if importlib.util.find_spec(name) is not None]
    return {"bags": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}


def device_name(device: torch.device | str = "cpu") -> str:
    """Name of the processor or GPU that ``device`` stands for."""
    if torch.device(device).type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    try:
        models = [line for line in PROCESSOR.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        name = models[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        name = platform.processor() or platform.machine()
    return f"cpu ({name}, {thread_count()} threads)"
