"""Whole training steps on the CUDA adapters (stand-ins) gather what those on the CPU rasteriser gather."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import diff_gaussian_stand_in
import gsplat_stand_in
import pytest

from bags.callbacks import Densify
from bags.modules.bags_module import BagsModule
from bags.rendering import diff_gaussian_backend, gsplat_backend, make_rasterizer
from bags.rendering.base import Rasterizer
from bags.run import start
from bags.run.build import build
from bags.settings import DatasetSettings, ScheduleSettings, Settings, SyntheticSettings, TrainerSettings


def step_on(rasterizer: Rasterizer, monkeypatch: pytest.MonkeyPatch) -> BagsModule:
    """The module after the backward pass of one training step, its statistics gathered."""
    scene = SyntheticSettings(width=40, height=32, train_views=2, test_views=0, points=150, samples=4)
    settings = Settings(
        dataset=DatasetSettings(synthetic=scene, hold=None),
        schedule=ScheduleSettings(scale_divisors=(1, 1, 1)),
        trainer=TrainerSettings(accelerator="cpu"),
    )
    monkeypatch.setattr(start, "make_rasterizer", lambda *_, **__: rasterizer)
    datamodule, module = build(start.decide(settings))
    module.gaussians.update_filter([view.camera for view in datamodule.scene.train])
    module.training_step(next(iter(datamodule.train_dataloader())), 0).backward()
    trainer = SimpleNamespace(accumulate_grad_batches=1)
    densify = Densify()
    densify.configure(settings)
    densify.on_after_backward(trainer, module)
    densify.on_before_optimizer_step(trainer, module, module.configure_optimizers())
    return module


def test_statistics_and_gradients_agree_and_absolute_ones_are_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    gsplat_stand_in.put_in_place(monkeypatch)
    monkeypatch.setitem(sys.modules, diff_gaussian_backend.MODULE, diff_gaussian_stand_in.module("bags"))
    exact = step_on(make_rasterizer("numba", "cpu"), monkeypatch)
    assert exact.gaussians.gradient_count.sum() > 100
    for adapter in (gsplat_backend.load(), diff_gaussian_backend.load()):
        module = step_on(adapter, monkeypatch)
        # Worst seen: 7.1e-7.
        for name in ("gradient_sum", "gradient_count", "max_radius"):
            ours, expected = getattr(module.gaussians, name), getattr(exact.gaussians, name)
            assert (ours - expected).norm() <= 1e-5 * expected.norm(), name
        for name, parameter in exact.gaussians.named_parameters():
            ours = module.gaussians.get_parameter(name)
            # The balls of the start turn without effect: nothing but rounding (of float32: 2e-9), hence the floor.
            assert (ours.grad - parameter.grad).norm() <= 1e-5 * parameter.grad.norm() + 1e-8, name
    absolute = step_on(gsplat_backend.load(absolute_gradients=True), monkeypatch).gaussians.gradient_sum
    assert (absolute >= exact.gaussians.gradient_sum * 0.999).all()
    assert absolute.sum() > 1.2 * exact.gaussians.gradient_sum.sum()
