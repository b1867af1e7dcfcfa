"""The sub-pixel offset of each step's camera: uniform in a square one pixel wide around the view's own camera."""

from __future__ import annotations

import secrets
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import kstest

from bags.modules.bags_module import BagsModule
from bags.types import Camera, ViewBatch

CAMERA = Camera(torch.eye(3), torch.zeros(3), 40.0, 42.0, 48, 32, offset=(3.0, -2.0))


def offset(seed: int, step: int, slot: int = 0, jitter: bool = True) -> tuple[float, float]:
    """How far the principal point of a step's camera lies from that of the view's, in pixels (x, y)."""
    module = SimpleNamespace(model=SimpleNamespace(ray_jitter=jitter), seed=seed)
    moved = BagsModule.jittered(module, ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step, slot))  # type: ignore[arg-type]
    assert moved.photo_size == CAMERA.photo_size and torch.equal(moved.translation, CAMERA.translation)
    return moved.cx - CAMERA.cx, moved.cy - CAMERA.cy


def test_offsets_are_even_over_one_pixel_around_the_middle() -> None:
    seed = secrets.randbelow(2**31)
    offsets = torch.tensor([offset(seed, step) for step in range(1, 2001)])
    assert float(offsets.abs().max()) <= 0.5
    for axis in offsets.T:  # a right one fails once in ten million seeds
        assert kstest(axis.numpy(), "uniform", (-0.5, 1)).pvalue > 1e-7, seed
    assert abs(float(offsets.T.corrcoef()[0, 1])) < 0.12, seed


def test_offsets_are_a_function_of_seed_step_and_slot() -> None:
    assert offset(3, 7) == offset(3, 7)
    assert len({offset(3, 7), offset(4, 7), offset(3, 8), offset(3, 7, slot=1)}) == 4


@pytest.mark.parametrize(("step", "jitter"), [(0, True), (5, False)])
def test_views_to_look_at_are_not_moved(step: int, jitter: bool) -> None:
    assert offset(3, step, jitter=jitter) == (0, 0)
