"""Cases of ``test_pretend_device``, which runs this file in a process of its own: a run's life on a pretend GPU."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy

from bags.benchmark import measure
from bags.benchmark import step as benchmark_step
from bags.datamodules import scene_datamodule
from bags.datamodules.placement import where_they_are
from bags.modules.gaussians import Gaussians
from bags.ops import random
from bags.rendering.gsplat_backend import FUNCTIONS, two_stages
from bags.run import forecast, start, trainer
from bags.run.build import build
from bags.settings import GaussianSettings
from bags.tasks import evaluate, export, render, train
from bags.types import PointCloud
from bags.viewer.painter import FROM_ANYWHERE, OF_A_PHOTO, Painter
from bags.viewer.stops import stops
from tests.integration.test_training import settings_of
from tests.integration.test_waiting import Begin, End, is_ordinary, watched
from tests.pretend_device import DEVICE, Device, OnDevice, kernel, waits
from tests.rendering import gsplat_stand_in

GSPLAT = SimpleNamespace(
    **{name: kernel(getattr(gsplat_stand_in, name), reads_back=name == "isect_tiles") for name in FUNCTIONS}
)
EXPECTED = {"isect_tiles"}  # reads the length of the tiles' lists, once a render


class Host(CPUAccelerator):
    """Lightning's accelerator for a device that it does not know."""

    def setup_device(self, device: torch.device) -> None:
        pass


def trainer_on_device(**options: Any) -> Trainer:
    strategy = SingleDeviceStrategy(device=DEVICE, accelerator=Host())
    return Trainer(**{**options, "accelerator": "auto", "strategy": strategy})


def photos_on_device(pyramid: Any, images_on: str, device: torch.device) -> Any:
    return pyramid.moved(lambda pixels: pixels.to(device), device), where_they_are


@pytest.fixture(autouse=True)
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every task chooses the pretend device, and what torch or Lightning know of CUDA only stands for it."""
    monkeypatch.setattr(start, "choose_device", lambda trainer, rasterizer: DEVICE)
    monkeypatch.setattr(trainer, "Trainer", trainer_on_device)
    monkeypatch.setattr(forecast, "free_memory", lambda device: 10**12)
    monkeypatch.setattr(scene_datamodule, "place", photos_on_device)
    monkeypatch.setattr(measure, "peak_mb", lambda call: call())
    for module in (start, benchmark_step):
        monkeypatch.setattr(module, "make_rasterizer", lambda *_, **__: two_stages(GSPLAT))
    with Device():
        yield


def test_the_pretend_device_refuses_what_cuda_refuses_and_notes_what_waits() -> None:
    here, there = torch.arange(3.0).to(DEVICE), torch.ones(3)
    with pytest.raises(RuntimeError, match="on the same device: add"):
        here + there
    with pytest.raises(TypeError, match="numpy"):
        here.numpy()
    with pytest.raises(RuntimeError, match="must be a CUDA tensor"):
        GSPLAT.isect_offset_encode(there, 1, 1, 1)
    waits.clear()
    assert type(here * 2 + torch.tensor(1.0)) is OnDevice and not waits  # a number is an argument
    _ = here.new_tensor([1.0]), here[here > 1], here.sum().item(), here.cpu(), here[torch.tensor([0])]
    assert [wait.split()[0] for wait in waits] == ["to", "index", "_local_scalar_dense", "to", "index"]
    assert all("pretend_device_cases.py" in wait for wait in waits)


class Noted:
    """What waits from here to there."""

    def __init__(self, ordinary: bool) -> None:
        self.seen: list[str] = []

    def __enter__(self) -> None:
        waits.clear()

    def __exit__(self, *error: object) -> None:
        self.seen = list(waits)


@pytest.mark.parametrize(("views", "steps"), [(1, 18), (2, 11)])
def test_ordinary_steps_do_not_wait(views: int, steps: int, tmp_path: Path) -> None:
    watch = End(Begin(Noted))
    schedule = watched(tmp_path, watch, f"trainer.views_per_step={views}", f"schedule.steps={steps}")
    ordinary = [step for step in watch.waits if is_ordinary(schedule, step) and step < steps]  # the last one is saved
    assert len(ordinary) > steps // 3
    for step in ordinary:
        found = Counter(watch.waits[step])
        assert set(found) == EXPECTED and found["isect_tiles"] == views, (step, found)
    assert len(watch.waits[10]) > views  # where logging, progress and densification do wait


def test_noise_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = random.generator
    monkeypatch.setattr(random, "generator", lambda *what: made(*what[:3]))  # torch has none for this device
    watch = End(Begin(Noted))
    schedule = watched(tmp_path, watch, "densify=mcmc", "schedule.steps=18")
    for step in (step for step in watch.waits if is_ordinary(schedule, step) and step < 18):
        assert set(watch.waits[step]) == EXPECTED, (step, watch.waits[step])


def test_a_run_from_its_first_step_to_its_files(tmp_path: Path) -> None:
    """Trained, gone on with, judged again, drawn, filmed, exported, looked at: nowhere do devices mix."""
    short = settings_of(tmp_path, "name=run", "output.train_views=1", "model.bpn.kernels=[3,3,3]")
    short = replace(short, schedule=replace(short.schedule, steps=8))
    train.run(short)
    longer = replace(short, schedule=replace(short.schedule, steps=12), ckpt_path="last")
    train.run(longer)
    trained = json.loads((short.folder / "metrics.json").read_text())
    assert trained["steps"] == 12 and trained["psnr"] > 8

    settings = replace(longer, ckpt_path=None)
    evaluate.run(settings)
    assert json.loads((short.folder / "metrics.json").read_text())["psnr"] == pytest.approx(trained["psnr"], abs=1e-4)
    render.run(settings)
    render.run(replace(settings, render=replace(settings.render, path="ellipse", frames=2, depth=True)))
    export.run(replace(settings, export=replace(settings.export, formats=("ply", "ply_with_filter"))))
    for file in ("export/step_12/point_cloud.ply", "renders/step_12/ellipse.mp4"):
        assert (short.folder / file).stat().st_size > 0

    datamodule, module = build(start.decide(settings))
    assert {tensor.device for tensor in (*module.parameters(), *module.buffers())} == {DEVICE}
    painter, stop = Painter(module, 12), stops(datamodule)[0]
    pictures = [painter.from_anywhere(layer, stop.camera) for layer in FROM_ANYWHERE]
    pictures += [painter.of_photo(layer, stop) for layer in OF_A_PHOTO]
    assert all(picture is not None and picture.cpu().isfinite().all() for picture in pictures)
    assert painter.kernel(stop, 0.5, 0.5) is not None


def test_a_step_of_the_benchmark() -> None:
    row = benchmark_step.step_row(48, 32, 60, 2.0, 3, 1, DEVICE, compare=False)
    assert row["ours_ms"] > 0 and row["parts_ms"]["rasteriser"] > 0


def test_gaussians_are_made_where_their_points_are() -> None:
    points = PointCloud(torch.rand(9, 3).to(DEVICE), torch.rand(9, 3).to(DEVICE))
    gaussians = Gaussians(points, GaussianSettings(), extent=1.0)
    made = dict(gaussians.named_parameters()) | dict(gaussians.named_buffers())
    assert {name: tensor.device for name, tensor in made.items() if tensor.device != DEVICE} == {}
