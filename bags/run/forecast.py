"""Estimates, before a run starts, its memory and the disk space for its checkpoints."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.densification.strategy import COPIES, floats_each
from bags.errors import BagsError
from bags.modules.bags_module import BagsModule
from bags.ops.smoothing import reach
from bags.run.checkpoint_io import LAST, PREVIOUS
from bags.run.start import Start
from bags.settings import BPNSettings
from bags.system.memory import free_memory, in_words

log = logging.getLogger(__name__)

FLOAT = 4  # bytes
# Planes of H x W floats of a step besides the network's: renders, their gradients, SSIM, the convolution.
PLANES = 60
PATH = 30  # more planes for a camera's path
SEEN = 12  # and for each of its instants on a GPU, where torch holds what is seen at all of them
# Planes of the network per hidden channel: two convolutions, their normalisation, and gradients.
NETWORK = 7
KERNELS = 4  # copies of the nodes' kernels: logits, softmax, and the gradients of both


@dataclass(frozen=True)
class Memory:
    """Bytes that a run needs beyond what the process uses at its start.

    Attributes:
        gaussians: with gradients, Adam's moments, and copies during densification.
        photos: that are still to be copied to the device.
        step: images and network of a step at the full training resolution.
    """

    gaussians: int
    photos: int
    step: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.gaussians + self.photos + self.step


def memory_needed(
    bpn: BPNSettings, datamodule: SceneDataModule, module: BagsModule, count: int, device: torch.device
) -> Memory:
    """Memory of the run on ``device`` with ``count`` Gaussians."""
    camera = max(datamodule.cameras(datamodule.schedule.finest), key=lambda camera: camera.width * camera.height)
    window = module.dataset.window
    width, height = (min(side, window or side) for side in (camera.width, camera.height))
    planes = PLANES
    if module.paths is not None:
        planes += PATH + (SEEN * module.model.trajectory.instants if device.type == "cuda" else 0)
    if module.kernels is not None:
        kernels = module.kernels.sizes
        finest = len(kernels.scales) - 1
        margin = 2 * reach(kernels.of(finest), kernels.stride(finest))
        width, height = width + margin, height + margin
        planes += -(-(bpn.hidden * NETWORK + 2 * bpn.rgbd_channels) // bpn.rgbd_spacing**2)
        planes += -(-bpn.hidden * len(bpn.kernels) // bpn.kernel_spacing**2)
        if bpn.kernel_spacing > 1:
            planes += -(-KERNELS * kernels.of(finest) ** 2 // bpn.kernel_spacing**2)
    photos = datamodule.train.size if device.type == "cuda" else 0
    return Memory(count * floats_each(module.gaussians) * COPIES * FLOAT, photos, planes * width * height * FLOAT)


def checkpoint_size(module: BagsModule, count: int) -> int:
    """Bytes of a checkpoint with ``count`` Gaussians: parameters, two moments of each, statistics."""
    learned = sum(parameter.numel() for parameter in module.parameters())
    network = learned - sum(parameter.numel() for parameter in module.gaussians.parameters())
    return FLOAT * (3 * network + count * (3 * floats_each(module.gaussians) + len(module.gaussians.BUFFERS)))


def check(start: Start, datamodule: SceneDataModule, module: BagsModule) -> None:
    """Log what the run will need, and warn if that may be more than is free.

    Raises:
        BagsError: there is not even enough for its start.
    """
    now, most = len(module.gaussians), module.model.gaussians.max_count
    count = max(now, most or now)
    least, need, free = (
        memory_needed(module.model.bpn, datamodule, module, now, start.device),
        memory_needed(module.model.bpn, datamodule, module, count, start.device),
        free_memory(start.device),
    )
    log.info(
        "memory: about %s more of %s free (%s Gaussians %s, a step's images and network %s)",
        in_words(need.total), in_words(free), f"{'up to ' if most else 'at first '}{count:,}", in_words(need.gaussians),
        in_words(need.step),
    )  # fmt: skip
    smaller = "lower model.gaussians.max_count, raise dataset.factor or set dataset.window"
    if least.total > 2 * free:  # the estimate is not wrong by a factor of 2
        raise BagsError(
            f"this run needs about {in_words(least.total)} of memory, but only {in_words(free)} are free: {smaller}"
        )
    if need.total > free:
        log.warning("there may not be enough memory: %s", smaller)
    first, later = (room_needed(start.folder, checkpoint_size(module, number)) for number in (now, count))
    room = shutil.disk_usage(start.folder).free
    if first > room:
        raise BagsError(
            f"{start.folder}: {in_words(room)} are free, but checkpoints need {in_words(first)} more: "
            "free some space, or choose another folder with output_root="
        )
    if later > room:
        log.warning(
            "%s: %s are free, but checkpoints may need up to %s more", start.folder, in_words(room), in_words(later)
        )


def room_needed(run: Path, each: int) -> int:
    """Disk space in bytes that checkpoints of ``each`` bytes need beyond the existing ones, which they replace."""
    files = (run / "checkpoints" / name for name in (LAST, PREVIOUS))
    kept = sum(file.stat().st_size for file in files if file.is_file())
    return max(each, 3 * each - kept)  # two kept, one being written
