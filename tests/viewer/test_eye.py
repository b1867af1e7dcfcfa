"""Between the browser's camera and ours, both ways."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.spatial.transform import Rotation

from bags.types import Camera
from bags.viewer.eye import FOV, Eye


def random_camera(seed: int, width: int = 120, height: int = 80) -> Camera:
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.from_numpy(Rotation.random(random_state=seed).as_matrix()).float()
    return Camera(rotation, torch.randn(3, generator=generator), 110.0, 110.0, width, height)


def project(camera: Camera, point: torch.Tensor) -> torch.Tensor:
    x, y, z = (camera.rotation.double() @ point + camera.translation.double()).tolist()
    return torch.tensor([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])


def test_there_and_back() -> None:
    for seed in range(5):
        camera = random_camera(seed)
        back = Eye.at(camera, camera.width, camera.height).camera(1e9)
        assert (back.width, back.height) == (120, 80)
        torch.testing.assert_close(back.rotation, camera.rotation, atol=1e-6, rtol=0)
        torch.testing.assert_close(back.translation, camera.translation, atol=1e-5, rtol=0)
        assert math.isclose(back.fx, 110.0, rel_tol=1e-9) and math.isclose(back.fy, 110.0, rel_tol=1e-9)


def test_a_pose_by_hand() -> None:
    """The browser at (1, 2, 3), turned a quarter to the right about its own vertical: it looks along +x."""
    half = math.sqrt(0.5)
    eye = Eye((half, 0.0, half, 0.0), (1.0, 2.0, 3.0), math.pi / 2, 100, 100)
    camera = eye.camera(1e9)
    torch.testing.assert_close(camera.center, torch.tensor([1.0, 2.0, 3.0]))
    # 90 degrees high: 50 px focal length. A point 2 ahead (+x), 1 to its right (-z), 0.5 below (+y).
    pixel = project(camera, torch.tensor([3.0, 2.5, 2.0], dtype=torch.float64))
    torch.testing.assert_close(pixel, torch.tensor([49.5 + 25, 49.5 + 12.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.from_numpy(eye.axes[:, 2]), torch.tensor([1.0, 0, 0], dtype=torch.float64))


def test_whole_photo_is_seen_on_any_window() -> None:
    """The photo's corners fall on the edges of what is framed: here across, there down."""
    camera = random_camera(3)
    corner = torch.tensor([-camera.width / 2 / 110, -camera.height / 2 / 110, 1.0], dtype=torch.float64)
    corner = camera.rotation.double().T @ (corner - camera.translation.double())
    for width, height in ((300, 80), (80, 300), (120, 80)):
        left, top = (project(Eye.at(camera, width, height).camera(1e9), corner) + 0.5).tolist()
        assert min(left, top) == pytest.approx(0, abs=1e-3) and max(left, top) > -1e-3, (width, height)


def test_resolution_follows_the_pixels_there_are() -> None:
    eye = Eye.at(random_camera(1), 1200, 800)
    small = eye.camera(600)
    assert (small.width, small.height) == (30, 20)
    assert eye.camera(1e9).width == 1200
    assert small.fx / small.width == pytest.approx(eye.camera(1e9).fx / 1200)


def test_same_place() -> None:
    eye = Eye.at(random_camera(2), 100, 100)
    rounded = replace(eye, wxyz=tuple(-value + 1e-5 for value in eye.wxyz), fov=1.0)  # q and -q are one rotation
    assert eye.is_at(rounded, extent=1.0)
    moved = replace(eye, position=(eye.position[0] + 0.01, *eye.position[1:]))
    assert not eye.is_at(moved, extent=1.0) and eye.is_at(moved, extent=100.0)
    w, x, y, z = (Rotation.from_euler("x", 1, degrees=True)).as_quat()[[3, 0, 1, 2]]
    assert not replace(eye, wxyz=(1.0, 0.0, 0.0, 0.0)).is_at(replace(eye, wxyz=(w, x, y, z)), extent=1.0)


GOOD: dict[str, Any] = {
    "wxyz": (2.0 / 2, 0, 0, 0), "position": (0, 0, 1), "fov": 1.0, "image_width": 320, "image_height": 240,
}  # fmt: skip


def test_reported() -> None:
    assert Eye.reported(SimpleNamespace(**GOOD)) == Eye((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 1.0, 320, 240)


def test_invalid_viewpoints_are_refused() -> None:
    nan, inf = math.nan, math.inf
    invalid: dict[str, list[Any]] = {
        "wxyz": [(0, 0, 0, 0), (nan, 0, 0, 1), (1, 0, 0), "abcd", None],
        "position": [(inf, 0, 0), (0, 0), 3, (1e30, 0, 0)],
        "fov": [nan, 0.0, FOV[1] + 1, "wide"],
        "image_width": [0, 10**9, 3000],
        "image_height": [-5, inf],
    }
    tried = [(key, value) for key, values in invalid.items() for value in values]
    assert [one for one in tried if Eye.reported(SimpleNamespace(**(GOOD | dict([one])))) is not None] == []
