"""What is decided once, at the start of a run or of a task on one, and then handed down."""

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
    """All that a run has decided before anything is made.

    Attributes:
        settings: the run's.
        folder: where its results are.
        device: that its tensors live on.
        rasterizer: draws on it.
        bfloat16: the precision of the blur model; what a checkpoint says wins.
        saved: the checkpoint to go on from or to look at; None: the first step is still to come.
    """

    settings: Settings
    folder: Path
    device: torch.device
    rasterizer: Rasterizer
    bfloat16: bool
    saved: Saved | None


def decide(settings: Settings, default: str | None = None) -> Start:
    """Prepare the process and decide where and with what the run computes, and what it goes on from.

    Args:
        settings: the run's.
        default: the checkpoint where ``ckpt_path`` names none; ``last`` for tasks on a finished run.

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
