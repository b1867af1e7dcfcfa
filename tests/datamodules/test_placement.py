from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from bags.datamodules.placement import ahead, place, ready, where_they_are
from bags.datamodules.pyramid import ImagePyramid
from bags.datamodules.view_loader import ViewLoader
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, ScheduleSettings
from bags.types import Camera, View, ViewBatch

SCHEDULE = ScaleSchedule(ScheduleSettings(iterations=6, ms_steps=2, scale_divisors=(2, 1), scale_starts=(1, 3)))


@pytest.fixture(scope="module")
def pyramid() -> ImagePyramid:
    camera = Camera(torch.eye(3), torch.zeros(3), 40.0, 40.0, 48, 32)
    views = [View(f"{i}.png", camera, lambda i=i: Image.new("RGB", (48, 32), (20 * i, 7, 0))) for i in range(5)]  # type: ignore[misc]
    return ImagePyramid(views, DatasetSettings(), SCHEDULE.divisors)


class Copies:
    """Stands in for a stream: notes what happens, and finishes nothing that was not begun."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def start(self, batch: ViewBatch) -> ViewBatch:
        assert batch.image.dtype == torch.uint8
        self.log.append(f"start {batch.step}")
        return replace(batch, image=batch.image.clone())

    def finish(self, batch: ViewBatch) -> ViewBatch:
        assert f"start {batch.step}" in self.log
        self.log.append(f"finish {batch.step}")
        return ready(batch)


def test_a_copy_begins_before_the_view_before_it_is_used(pyramid: ImagePyramid) -> None:
    copies = Copies()
    loader = ViewLoader(pyramid, SCHEDULE, seed=3, feed=ahead(copies))  # type: ignore[arg-type]
    for batch in loader:
        copies.log.append(f"use {batch.step}")
    expected = ["start 1"]
    for step in range(1, 6):
        expected += [f"finish {step}", f"start {step + 1}", f"use {step}"]
    assert copies.log == [*expected, "finish 6", "use 6"]


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_reading_ahead_changes_neither_views_nor_position(stop: int, pyramid: ImagePyramid) -> None:
    loader = ViewLoader(pyramid, SCHEDULE, seed=3, feed=ahead(Copies()))  # type: ignore[arg-type]
    plain = list(ViewLoader(pyramid, SCHEDULE, seed=3))
    iterator = iter(loader)
    first = [next(iterator) for _ in range(stop)]
    assert loader.state_dict()["done"] == stop
    resumed = ViewLoader(pyramid, SCHEDULE, seed=3, feed=ahead(Copies()))  # type: ignore[arg-type]
    resumed.load_state_dict(loader.state_dict())
    for a, b in zip([*first, *resumed], plain, strict=True):
        assert (a.step, a.index, a.name) == (b.step, b.index, b.name)
        assert a.image.dtype == torch.float32 and torch.equal(a.image, b.image)


def test_on_the_cpu_nothing_moves(pyramid: ImagePyramid) -> None:
    for images_on in ("auto", "host", "device"):
        assert place(pyramid, images_on, torch.device("cpu")) == (pyramid, where_they_are)
    assert pyramid.size == 5 * 3 * (48 * 32 + 24 * 16)


def test_a_moved_pyramid_holds_the_same(pyramid: ImagePyramid) -> None:
    moved = pyramid.moved(lambda pixels: pixels.clone(), torch.device("cpu"))
    for view in range(5):
        for scale in range(2):
            assert moved.pixels(view, scale).data_ptr() != pyramid.pixels(view, scale).data_ptr()
            assert torch.equal(moved.image(view, scale), pyramid.image(view, scale))
    assert moved.camera(4, 1).width == pyramid.camera(4, 1).width and moved.views is pyramid.views


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("images_on", "window"), [("device", None), ("host", None), ("host", 32), ("auto", None)])
def test_views_arrive_on_the_gpu_without_waiting(images_on: str, window: int | None, pyramid: ImagePyramid) -> None:
    kept, feed = place(pyramid, images_on, torch.device("cuda"))
    loader = ViewLoader(kept, SCHEDULE, seed=3, window=window, feed=feed)
    torch.cuda.set_sync_debug_mode("error")
    try:
        arrived = list(loader)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for a, b in zip(arrived, ViewLoader(pyramid, SCHEDULE, seed=3, window=window), strict=True):
        assert a.image.is_cuda and a.camera.rotation.is_cuda
        assert torch.equal(a.image.cpu(), b.image)
