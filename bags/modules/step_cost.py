"""Measures what a training step costs, on a copy: the run's parameters and optimiser are not touched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from time import perf_counter

import torch
from torch import nn

from bags.modules.bags_module import BagsModule
from bags.modules.gaussians import Gaussians
from bags.schedule import Kind
from bags.types import Camera, ViewBatch

GROWTH = 3  # Gaussians in an average step, relative to the initial number
REPEATS = 3  # timed steps of every kind, after one that compiles
LONG = 4.0  # seconds; no more repeats once they have taken that long in total

Views = Callable[[int], Sequence[ViewBatch]]  # the views of a step in this process


def step_costs(module: BagsModule, views: Views, cameras: Sequence[Camera]) -> dict[Kind, float]:
    """Seconds of a step of every kind (``Phase.kind``) in the module's schedule: forward, backward and optimiser.

    The copy has ``GROWTH`` times as many Gaussians, up to ``model.gaussians.max_count``, and all spherical harmonics.

    Args:
        module: before its first step, on its device.
        views: of a step, at the scale of the schedule.
        cameras: for which the 3D filter is computed.
    """
    steps: dict[Kind, int] = {}
    for step in range(1, module.schedule.total + 1):
        steps.setdefault(module.schedule.at(step).kind, step)
    stand_in = copy.deepcopy(module)
    gaussians = stand_in.gaussians
    enlarge(gaussians, min(GROWTH * len(gaussians), module.model.gaussians.max_count or 10**9))
    gaussians.sh_degree = module.model.gaussians.sh_degree
    gaussians.update_filter(cameras)
    optimizer = stand_in.configure_optimizers()
    return {kind: _seconds(stand_in, optimizer, views(step)) for kind, step in steps.items()}


def _seconds(module: BagsModule, optimizer: torch.optim.Optimizer, views: Sequence[ViewBatch]) -> float:
    times: list[float] = []
    views = [view.to(module.device) for view in views]
    while len(times) <= REPEATS and sum(times[1:]) < LONG:
        begin = perf_counter()
        optimizer.zero_grad()
        for number, view in enumerate(views):
            module.training_step(view, number).backward()
        optimizer.step()
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        times.append(perf_counter() - begin)
    return sum(times[1:]) / len(times[1:])


@torch.no_grad()
def enlarge(gaussians: Gaussians, count: int) -> None:
    """Repeat Gaussians until there are ``count``, in place; a smaller ``count`` changes nothing."""
    index = torch.arange(max(count, len(gaussians)), device=gaussians.means.device) % len(gaussians)
    for name in gaussians.PARAMETERS:
        setattr(gaussians, name, nn.Parameter(getattr(gaussians, name)[index]))
    for name in gaussians.BUFFERS:
        setattr(gaussians, name, getattr(gaussians, name)[index])
