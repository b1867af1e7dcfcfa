"""The blur model ``auto``: none for the sharp photos of a sharp scene, else the camera's path and lens.

No blur model is free. Whatever can explain blur also absorbs a little detail that is not blur, which costs quality in
new views. So photos whose edges rule blur out (``bags.ops.edge_width``) are taken as they are. In a scene with blurred
photos, sharp ones keep their path and lens too: blur may be too weak to be seen in a photo.
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
NEARLY_ALL = 0.85  # share of the judged photos that must be sharp for the scene to count as sharp
UNDECIDED, SHARP, BLURRED = range(3)


class Choices(nn.Module):
    """Which training photos are blurred; saved in the checkpoint.

    Attributes:
        models: (num_views,) ``UNDECIDED``, ``SHARP`` or ``BLURRED``.
        listed: the same on the host, so that no step has to wait for the device.
    """

    models: Tensor

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.register_buffer("models", torch.full((num_views,), UNDECIDED, dtype=torch.int8))
        self.listed = [UNDECIDED] * num_views

    def choose(self, widths: Sequence[float | None]) -> None:
        """Decide from the widths of the photos' edges in pixels; None: a photo that cannot be judged."""
        telling = [width for width in widths if width is not None]
        narrow = sum(width <= SHARP_EDGES for width in telling)
        scene_is_sharp = bool(telling) and narrow >= NEARLY_ALL * len(telling)
        self.listed = [
            SHARP if scene_is_sharp and (width is None or width <= SHARP_EDGES) else BLURRED for width in widths
        ]
        self.models.copy_(torch.tensor(self.listed))

    @property
    def made(self) -> bool:
        """Whether every photo has been decided."""
        return UNDECIDED not in self.listed

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.listed = self.models.tolist()


class AutoBlur:
    """The blur model ``auto``.

    Args:
        camera: model of the blurred photos.
        choices: made before a run's first step (``bags.run.build``).
    """

    def __init__(self, camera: CameraBlur, choices: Choices) -> None:
        self.camera, self.choices = camera, choices

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Those of the camera's model."""
        return self.camera.parameter_groups(optim)

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Explain the view by the model chosen for it."""
        if self.choices.listed[view.index] == SHARP:
            return self.camera.rest(view, camera, draw)
        return self.camera.expose(view, camera, phase, draw)
