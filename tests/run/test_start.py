"""What a run starts from."""

from __future__ import annotations

import os
import runpy
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import bags
from bags.run.build import start_points
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud, Scene, View


def begun(count: int, unit: bool = False, **gaussians: Any) -> PointCloud:
    cameras = [Camera(torch.eye(3), torch.tensor([-x, 0.0, 0.0]), 50.0, 50.0, 48, 32) for x in (49.0, 51.0)]
    views = tuple(View(str(i), camera, lambda: None) for i, camera in enumerate(cameras))  # type: ignore[arg-type, return-value]
    points = PointCloud(torch.rand(count, 3), torch.rand(count, 3))
    module: Any = SimpleNamespace(scene=Scene("s", views, (), points, unit=unit), extent=1.1, train=None)
    return start_points(GaussianSettings(**gaussians), 0, module)


def test_the_limit_holds_from_the_start() -> None:
    for points, limit, count in (
        (80, 500, 80), (80, 50, 50), (80, None, 80), (0, 500, 300), (0, 50, 50), (0, None, 300)
    ):  # fmt: skip
        assert len(begun(points, max_count=limit, random_points=300).xyz) == count, (points, limit)


def test_random_points_lie_where_the_scene_is() -> None:
    assert begun(0, unit=True, random_points=300).xyz.abs().max() <= 1.3
    far = begun(0, random_points=300).xyz
    assert abs(float(far[:, 0].mean()) - 50) < 1 and 2 < float((far[:, 0] - 50).abs().max()) <= 3.31


def test_torch_imported_first_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its idle threads spin then: training from Python once took ten times as long on a busy machine."""
    package = str(bags.__file__)
    assert not runpy.run_path(package)["TORCH_SPINS"], "the tests set OMP_WAIT_POLICY"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert runpy.run_path(package)["TORCH_SPINS"] and "OMP_WAIT_POLICY" in os.environ
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.delitem(sys.modules, "torch")
    assert not runpy.run_path(package)["TORCH_SPINS"] and os.environ["OMP_WAIT_POLICY"] == "passive"
