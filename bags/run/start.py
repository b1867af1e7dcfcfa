"""Decisions that are made once, at the start of a run or of a task on one, and then passed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from bags.ops.precision import has_fast_bfloat16
from bags.rendering import Rasterizer, make_rasterizer
from bags.run.checkpoint_io import Saved
from bags.run.checkpoints import checkpoint
from bags.run.device import choose_device
from bags.run.process import prepare_process
from bags.settings import Settings


@dataclass(frozen=True)
class Start:
    """All decisions of a run before anything is created.

    Attributes:
        settings: the run's.
        folder: of its results.
        device: of its tensors.
        rasterizer: draws on that device.
        bfloat16: whether the blur model runs in bfloat16; a loaded checkpoint overrides it.
        saved: the checkpoint to resume from or to use; None: the run starts with the first step.
    """

    settings: Settings
    folder: Path
    device: torch.device
    rasterizer: Rasterizer
    bfloat16: bool
    saved: Saved | None


def decide(settings: Settings, default: str | None = None) -> Start:
    """Prepare the process, and choose device, rasteriser, precision and checkpoint.

    Args:
        settings: the run's.
        default: the checkpoint if ``ckpt_path`` names none; ``last`` for tasks on a finished run.

    Raises:
        BagsError: the requested device, rasteriser or checkpoint is not available.
    """
    prepare_process(settings.trainer, settings.seed)
    saved = checkpoint(settings, default)
    device = choose_device(settings.trainer, settings.rasterizer)
    asked, absolute = settings.model.bpn.bfloat16, settings.rasterizer.absolute_gradients
    return Start(
        settings,
        settings.folder,
        device,
        make_rasterizer(settings.rasterizer.name, device, absolute_gradients=absolute),
        has_fast_bfloat16(device) if asked == "auto" else bool(asked),
        saved,
    )
