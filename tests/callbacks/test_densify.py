"""What densification gathers from a step's views and renders, and the threshold that it grows by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bags.callbacks import Densify
from bags.callbacks import densify as module
from bags.densification.strategy import choose_growth
from bags.modules.gaussians import Gaussians
from bags.schedule import ScaleSchedule
from bags.settings import GaussianSettings, ScheduleSettings, Settings
from bags.types import Camera, PointCloud, RenderOutput, ViewBatch

COUNT = 30
WHOLE = Camera(torch.eye(3), torch.zeros(3), 90.0, 80.0, 96, 50)


def render(generator: torch.Generator) -> RenderOutput:
    """Nothing but the screen-space gradients and radii of a render."""
    means2d = torch.zeros(COUNT, 2)
    means2d.grad = torch.randn(COUNT, 2, generator=generator)
    radii = torch.randint(0, 3, (COUNT,), generator=generator, dtype=torch.int32)
    nothing = torch.zeros(0)
    return RenderOutput(nothing, nothing, nothing, means2d, radii)


def callback() -> Densify:
    made = Densify()
    made.configure(Settings())
    return made


def model(step: int, schedule: ScaleSchedule) -> Any:
    points = PointCloud(torch.rand(COUNT, 3), torch.rand(COUNT, 3))
    return SimpleNamespace(
        gaussians=Gaussians(points, GaussianSettings(), 1.0),
        schedule=schedule,
        model=SimpleNamespace(gaussians=GaussianSettings()),
        device=torch.device("cpu"),
        output=SimpleNamespace(phase=schedule.at(step), renders=(), batch=None),
    )


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_view_counts_with_the_gradient_of_its_own_whole_photo(views: int, seed: int) -> None:
    """Whatever the gradient at hand is of: one of several views, a window of the photo, or several renders of it."""
    generator = torch.Generator().manual_seed(seed)
    pl_module, densify = model(1, ScaleSchedule(ScheduleSettings())), callback()
    sums, counts, largest = torch.zeros(COUNT), torch.zeros(COUNT), torch.zeros(COUNT)
    for view in range(views):
        width, height = 32 + 16 * view, 30
        camera = WHOLE.cropped(16, 10, width, height)
        renders = tuple(render(generator) for _ in range(1 + seed))
        pl_module.output.batch = ViewBatch(camera, torch.zeros(3, height, width), view, "a.png", step=1)
        pl_module.output.renders = renders
        densify.on_after_backward(SimpleNamespace(accumulate_grad_batches=views), pl_module)  # type: ignore[arg-type]
        gradient = torch.stack([each.means2d.grad for each in renders]).sum(0)  # type: ignore[misc]
        radius = torch.stack([each.radii for each in renders]).amax(0)
        # A mean over the window's pixels and the step's views: as a part of the photo's own mean it is less.
        whole = gradient * views * (width * height) / (96 * 50)
        sums += torch.where(radius > 0, (whole * torch.tensor([96 / 2, 50 / 2])).norm(dim=1), 0)
        counts, largest = counts + (radius > 0), torch.maximum(largest, radius.float())
    densify.on_before_optimizer_step(None, pl_module, torch.optim.SGD(pl_module.gaussians.parameters()))  # type: ignore[arg-type]
    torch.testing.assert_close(pl_module.gaussians.gradient_sum, sums)
    assert torch.equal(pl_module.gaussians.gradient_count, counts)
    assert torch.equal(pl_module.gaussians.max_radius, largest)


@pytest.mark.parametrize(("step", "key"), [(40, "init_gradient"), (140, "gradient")])
def test_each_phase_grows_by_its_own_threshold(step: int, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = ScaleSchedule(
        ScheduleSettings(iterations=200, ms_steps=100, scale_starts=(1, 2, 3), densify_from=10, densify_every=20)
    )
    assert schedule.densifies(step)
    thresholds: list[float] = []

    def watched(gaussians: Gaussians, settings: Any, threshold: float, room: int) -> Any:
        thresholds.append(threshold)
        return choose_growth(gaussians, settings, threshold, room)

    monkeypatch.setattr(module, "choose_growth", watched)
    pl_module = model(step, schedule)
    optimizer = torch.optim.Adam([{"params": [p]} for p in pl_module.gaussians.parameters()])
    callback().on_before_optimizer_step(None, pl_module, optimizer)  # type: ignore[arg-type]
    settings = Settings().densify
    assert settings.init_gradient != settings.gradient
    assert thresholds == [getattr(settings, key)]
