"""Blur explained where there is some: nothing for sharp photos of a sharp scene, else the camera's path and lens.

No blur model is free: what may explain blur also explains a little of what is none, at a loss in new views. Where the
photos themselves rule blur out (``bags.ops.edge_width``), they are taken as they are. Among blurred photos the sharp
ones keep their path and lens: a blur too weak to be seen in a photo is still one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bags.modules.blur_model import Draw, Exposure
from bags.modules.camera_blur import CameraBlur
from bags.schedule import Phase
from bags.settings import OptimSettings
from bags.types import Camera, ViewBatch

SHARP_EDGES = 0.81  # pixels (``edge_width``); a step from one pixel to the next has 0.8
NEARLY_ALL = 0.85  # of the photos that tell; then the scene counts as sharp
UNDECIDED, SHARP, BLURRED = range(3)


class Choices(nn.Module):
    """Which training photos are blurred; kept with the checkpoint.

    Attributes:
        models: (num_views,) ``UNDECIDED``, ``SHARP`` or ``BLURRED``.
        listed: the same on the host, so that no step waits for a device.
    """

    models: Tensor

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.register_buffer("models", torch.full((num_views,), UNDECIDED, dtype=torch.int8))
        self.listed = [UNDECIDED] * num_views

    def choose(self, widths: Sequence[float | None]) -> None:
        """By the widths of the photos' edges in pixels; None: a photo that does not tell."""
        telling = [width for width in widths if width is not None]
        narrow = sum(width <= SHARP_EDGES for width in telling)
        scene_is_sharp = bool(telling) and narrow >= NEARLY_ALL * len(telling)
        self.listed = [
            SHARP if scene_is_sharp and (width is None or width <= SHARP_EDGES) else BLURRED for width in widths
        ]
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
        camera: for blurred photos.
        choices: made before a run's first step (``bags.run.build``).
    """

    def __init__(self, camera: CameraBlur, choices: Choices) -> None:
        self.camera, self.choices = camera, choices

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """The camera's."""
        return self.camera.parameter_groups(optim)

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Explain the view by what was chosen for it."""
        if self.choices.listed[view.index] == SHARP:
            return self.camera.rest(view, camera, draw)
        return self.camera.expose(view, camera, phase, draw)
