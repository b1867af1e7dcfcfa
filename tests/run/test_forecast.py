"""What a run will need is told before it begins, and densification keeps to what there is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bags.callbacks import densify
from bags.densification.strategy import room
from bags.errors import BagsError
from bags.modules.kernel_sizes import KernelSizes
from bags.run import forecast
from bags.run.build import build
from bags.run.start import decide
from bags.tasks import train
from tests.integration.test_training import settings_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = settings_of(
        tmp_path_factory.mktemp("run"), "schedule.steps=2", "output.report=false", "dataset.synthetic.test_views=0"
    )
    train.run(settings)
    start = decide(settings)
    return start, *build(start)


def test_the_size_of_a_checkpoint(run: Any) -> None:
    start, _, module = run
    written = (start.folder / "checkpoints/last.ckpt").stat().st_size
    assert forecast.checkpoint_size(module, len(module.gaussians)) == pytest.approx(written, rel=0.1)


def test_memory_grows_with_what_takes_it(run: Any) -> None:
    start, datamodule, module = run
    settings = start.settings
    few, many = (forecast.memory_needed(settings.model.bpn, datamodule, module, n, CPU) for n in (1000, 2000))
    assert many.gaussians == 2 * few.gaussians > 1000 * 59 * 4 * 4 and many.step == few.step
    assert many.total == many.gaussians + many.step
    network = replace(settings.model.bpn, kernel_spacing=1, rgbd_spacing=1)
    dense = forecast.memory_needed(network, datamodule, module, 1000, CPU)
    module.kernels, kernels = None, module.kernels
    without = forecast.memory_needed(settings.model.bpn, datamodule, module, 1000, CPU)
    module.kernels = kernels
    assert without.step < few.step < dense.step / 3


def test_pixels_that_kernels_see_beyond_the_photo_take_memory(run: Any) -> None:
    bpn, module = replace(run[0].settings.model.bpn, kernel_spacing=1), run[2]

    def step(side: int, width: int, height: int) -> int:
        kernels = SimpleNamespace(sizes=KernelSizes((side,), None, (1,)))
        model: Any = SimpleNamespace(dataset=module.dataset, gaussians=module.gaussians, paths=None, kernels=kernels)
        photos: Any = SimpleNamespace(
            schedule=SimpleNamespace(finest=0), cameras=lambda _: [SimpleNamespace(width=width, height=height)]
        )
        return forecast.memory_needed(bpn, photos, model, 1, CPU).step

    assert step(9, 100, 60) == step(1, 108, 68), "four on every side"


def test_insufficient_memory_is_reported(
    run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, datamodule, module = run
    need = forecast.memory_needed(module.model.bpn, datamodule, module, 20_000, CPU).total
    for free, words in ((need * 2, "memory: about"), (need // 2, "there may not be enough memory: lower model")):
        caplog.clear()
        monkeypatch.setattr(forecast, "free_memory", lambda _, free=free: free)
        with caplog.at_level("INFO", "bags"):
            forecast.check(start, datamodule, module)
        assert words in caplog.text
    monkeypatch.setattr(forecast, "free_memory", lambda _: 100_000)
    with pytest.raises(BagsError, match=r"needs about [\d.]+ MB of memory, but only 100 kB are free: lower model"):
        forecast.check(start, datamodule, module)


def test_too_little_disk_space_is_reported(
    run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, datamodule, module = run
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 30_000_000}))
    with caplog.at_level("WARNING", "bags"):
        forecast.check(start, datamodule, module)
    assert re.search(r"30 MB are free, but checkpoints may need up to 4\d MB more", caplog.text)
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 500_000}))
    with pytest.raises(BagsError, match=r"500 kB are free, but checkpoints need \d\.\d MB more: free some space"):
        forecast.check(start, datamodule, module)


def test_old_checkpoints_are_replaced(tmp_path: Path) -> None:
    """A resume on a nearly full disk was refused for want of room for three."""
    settings = settings_of(tmp_path)
    assert forecast.room_needed(settings.folder, 100) == 300
    folder = settings.folder / "checkpoints"
    folder.mkdir(parents=True)
    for name, size, needed in (("step_9.ckpt", 500, 300), ("last.ckpt", 90, 210), ("previous.ckpt", 110, 100)):
        (folder / name).write_bytes(bytes(size))
        assert forecast.room_needed(settings.folder, 100) == needed
    assert forecast.room_needed(settings.folder, 50) == 50, "the new one is written before an old one goes"


def test_room_for_gaussians(run: Any) -> None:
    gaussians = run[2].gaussians
    each = 59 * 4 * 10 * 2  # half of the free memory is taken at most
    assert room(gaussians, None, 70 * each) == (70, True)
    assert room(gaussians, len(gaussians) + 50, 70 * each) == (50, False)
    assert room(gaussians, len(gaussians) - 1, 70 * each) == (0, False)
    assert room(gaussians, 10**9, 0) == (0, True)


def test_without_a_limit_the_memory_is_one(
    run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(tmp_path, "model.gaussians.max_count=null")
    module = SimpleNamespace(gaussians=run[2].gaussians, model=settings.model, device=CPU)
    for places, told in ((7, True), (10_000, False)):
        caplog.clear()
        monkeypatch.setattr(densify, "free_memory", lambda _, places=places: 59 * 4 * 10 * 2 * places)
        assert densify.room_left(module) == places  # type: ignore[arg-type]
        assert ("memory allows at most 7 more Gaussians" in caplog.text) == told
