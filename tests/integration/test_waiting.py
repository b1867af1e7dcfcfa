"""An ordinary training step never waits for the device: here on a GPU, without one in ``pretend_device_cases.py``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from bags.rendering.base import Rasterizer
from bags.run.build import build
from bags.run.start import decide
from bags.run.trainer import make_trainer
from bags.schedule import ScaleSchedule
from bags.types import Camera, RenderOutput, Splats
from tests.integration.test_training import settings_of


def stand_in(
    splats: Splats, camera: Camera, *, sh_degree: int, background: Tensor, kernel_size: float = 0.1
) -> RenderOutput:
    """Depends on everything, draws nothing, waits for nothing. (Rasterisers may have to wait: for the tiles' lists.)"""
    camera = camera.to(splats.means.device)
    means2d = (splats.means @ camera.rotation.T + camera.translation)[:, :2] * camera.fx
    means2d.retain_grad()
    weight = splats.opacities * splats.scales.sum(dim=1) * splats.rotations.sum(dim=1)
    level = (means2d.sum(dim=1) * weight).mean() + splats.sh_dc.mean() + splats.sh_rest.mean()
    ramp = torch.arange(camera.width, device=level.device).expand(camera.height, -1) / camera.width
    alpha = (level * ramp).sigmoid()
    assert isinstance(sh_degree, int)
    radii = torch.ones(len(means2d), dtype=torch.int32, device=level.device)
    return RenderOutput(alpha + background[:, None, None], alpha, alpha, means2d, radii)


class Refuses:
    """On a GPU: what waits raises an error, in ordinary steps."""

    seen: tuple[str, ...] = ()

    def __init__(self, ordinary: bool) -> None:
        self.ordinary = ordinary

    def __enter__(self) -> None:
        torch.cuda.set_sync_debug_mode("error" if self.ordinary else "default")

    def __exit__(self, *error: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


class Begin(Callback):
    """The first callback: watches from here on, by what ``mode`` makes of whether the step is an ordinary one."""

    def __init__(self, mode: Callable[[bool], Any]) -> None:
        self.mode = mode
        self.entered: Any = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.entered = self.mode(is_ordinary(pl_module.schedule, batch.step))
        self.entered.__enter__()


class End(Callback):
    """The last callback: notes up to here."""

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.waits: dict[int, list[str]] = defaultdict(list)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.begin.entered.__exit__(None, None, None)
        self.waits[batch.step] += self.begin.entered.seen


def is_ordinary(schedule: ScaleSchedule, step: int) -> bool:
    """Neither logged nor one that edits the Gaussians or recomputes their filter."""
    return not (step % 10 == 0 or schedule.changes_scale(step) or schedule.refilters(step))


def watched(root: Path, watch: End, *overrides: str, rasterizer: Rasterizer | None = None) -> ScaleSchedule:
    """Train with everything on, watching every step."""
    settings = settings_of(
        root, "logger=csv", "schedule.sharp_steps=3000", "loss.mask=0.001", "loss.depth_tv=0.01", "loss.rgb_tv=0.001",
        "schedule.shortest_opacity_reset_every=20", "trainer.progress=true", "schedule.shortest_densify_every=10",
        "output.time_lapse=0", *overrides,
    )  # fmt: skip
    start = decide(settings)
    datamodule, module = build(start)
    module.rasterizer = rasterizer or module.rasterizer
    trainer = make_trainer(start)
    trainer.callbacks = [watch.begin, *trainer.callbacks, watch]  # type: ignore[attr-defined]
    trainer.fit(module, datamodule=datamodule)
    return module.schedule


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("images_on", ["host", "device"])
def test_ordinary_steps_do_not_wait_on_a_gpu(images_on: str, tmp_path: Path) -> None:
    watch, overrides = End(Begin(Refuses)), ("rasterizer=reference", "trainer.accelerator=gpu")
    watched(tmp_path, watch, *overrides, f"dataset.images_on={images_on}", rasterizer=stand_in)
    assert len(watch.waits) == 40
