"""Blur explained photo by photo: kernels for all at first, then what suits each.

Kernels explain any blur, and can so tell the kinds apart. But they are free enough to explain as blur what is none: on
sharp photos a faint wide kernel lets the render become harder than the photos, at a loss in new views. And a camera's
path explains shake better than they do. So halfway through the run each photo gets what its kernels look like: nothing,
where nearly all photos of the scene are sharp; the camera's path, where it is shaken; else kernels, as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bags.modules.blur_kind import Kind
from bags.modules.blur_model import Draw, Exposure
from bags.modules.kernel_blur import KernelBlur
from bags.modules.trajectory import TrajectoryBlur
from bags.schedule import Phase
from bags.settings import OptimSettings
from bags.types import Camera, ViewBatch

NEARLY_ALL = 0.9
UNDECIDED, SHARP, PATH, KERNELS = range(4)
BY_KIND: dict[Kind, int] = {"sharp": SHARP, "motion": PATH, "defocus": KERNELS, "low_resolution": KERNELS}


class Choices(nn.Module):
    """What explains each training photo; kept with the checkpoint.

    Attributes:
        models: (num_views,) ``UNDECIDED``, ``SHARP``, ``PATH`` or ``KERNELS``.
        listed: the same on the host, so that no step waits for a device.
    """

    models: Tensor

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.register_buffer("models", torch.full((num_views,), UNDECIDED, dtype=torch.int8))
        self.listed = [UNDECIDED] * num_views

    def choose(self, kinds: Sequence[Kind]) -> None:
        """By the kinds of the photos' blur.

        Halfway through a run weak blur still looks like none. So a photo counts as sharp only where nearly all do.
        """
        sharp = kinds.count("sharp") >= NEARLY_ALL * len(kinds)
        self.listed = [KERNELS if kind == "sharp" and not sharp else BY_KIND[kind] for kind in kinds]
        self.models.copy_(torch.tensor(self.listed))

    @property
    def made(self) -> bool:
        """Has it been decided?"""
        return UNDECIDED not in self.listed

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.listed = self.models.tolist()


class AutoBlur:
    """The blur model ``auto``.

    Args:
        kernels: for all photos, until there is a choice.
        trajectory: for shaken photos.
        choices: made halfway through the run (``bags.callbacks.ChooseBlur``).
    """

    def __init__(self, kernels: KernelBlur, trajectory: TrajectoryBlur, choices: Choices) -> None:
        self.kernels, self.trajectory, self.choices = kernels, trajectory, choices

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Those of both."""
        return self.kernels.parameter_groups(optim) + self.trajectory.parameter_groups(optim)

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Explain the view by what was chosen for it."""
        chosen = self.choices.listed[view.index]
        if chosen == SHARP:
            return self.trajectory.rest(view, camera, draw)
        return (self.trajectory if chosen == PATH else self.kernels).expose(view, camera, phase, draw)
