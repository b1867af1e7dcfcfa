"""Blur explained photo by photo: kernels for all at first, then the camera's path for those that are shaken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bags.modules.blur_kind import Kind
from bags.modules.blur_model import Draw, Exposure
from bags.modules.kernel_blur import KernelBlur
from bags.modules.trajectory import TrajectoryBlur
from bags.schedule import Phase
from bags.settings import OptimSettings
from bags.types import Camera, ViewBatch

KERNELS, PATH = 0, 1


class Choices(nn.Module):
    """Which blur model explains each training photo; kept with the checkpoint.

    Attributes:
        models: (num_views,) ``KERNELS`` or ``PATH``.
    """

    models: torch.Tensor

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.register_buffer("models", torch.full((num_views,), KERNELS, dtype=torch.int8))
        self.paths: frozenset[int] = frozenset()

    def choose(self, kinds: Sequence[Kind]) -> None:
        """The camera's path for photos that are shaken, kernels for all others."""
        self.models.copy_(torch.tensor([PATH if kind == "motion" else KERNELS for kind in kinds]))
        self._read()

    def _read(self) -> None:
        """On the host, so that no step waits for a device."""
        self.paths = frozenset(torch.nonzero(self.models.cpu() == PATH).flatten().tolist())

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._read()


class ChosenBlur:
    """The blur model ``chosen``.

    Args:
        kernels: for all photos, until there is a choice.
        trajectory: for those whose choice is the path.
        choices: made when the single-scale phase begins (``bags.callbacks.ChooseBlur``).
    """

    def __init__(self, kernels: KernelBlur, trajectory: TrajectoryBlur, choices: Choices) -> None:
        self.kernels, self.trajectory, self.choices = kernels, trajectory, choices

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Those of both."""
        return self.kernels.parameter_groups(optim) + self.trajectory.parameter_groups(optim)

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Explain the view by the model chosen for it."""
        chosen = self.trajectory if view.index in self.choices.paths else self.kernels
        return chosen.expose(view, camera, phase, draw)
