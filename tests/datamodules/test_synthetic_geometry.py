"""The ray caster against slow references: implicit functions of the solids, and the package's camera convention."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from bags.datamodules.synthetic.layouts import look_at
from bags.datamodules.synthetic.raycaster import hit_points, instant, photograph, pose, rays
from bags.datamodules.synthetic.world import Shape, World, build_world, linear_to_srgb, srgb_to_linear
from bags.settings import SyntheticSettings
from bags.types import Camera


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(np.random.default_rng(3))


def camera(seed: int, width: int = 24, height: int = 16) -> Camera:
    rng = np.random.default_rng(seed)
    settings = SyntheticSettings(width=width, height=height)
    return look_at(settings, rng.uniform([-2, -4.5, 0.5], [2, -3.5, 2.5]), rng.uniform([-1, 0, 0.3], [1, 1, 1.2]))


def grid(view: Camera) -> np.ndarray:
    rows, cols = np.mgrid[: view.height, : view.width]
    return np.column_stack([cols.ravel(), rows.ravel()]).astype(np.float64)


def occupied(world: World, points: np.ndarray) -> np.ndarray:
    """(P,) whether points (P, 3) are inside a solid or outside the room: the definition of the world."""
    result = np.zeros(len(points), bool)
    for index, (shape, solid) in enumerate(zip(world.shapes, world.solids, strict=True)):
        dx, dy, dz = (points - solid[:3]).T
        cosine, sine = solid[6:8]
        x, y, z = (cosine * dx + sine * dy) / solid[3], (cosine * dy - sine * dx) / solid[4], dz / solid[5]
        if index == 0:
            result |= np.maximum.reduce([abs(x), abs(y), abs(z)]) > 1
        elif shape == Shape.BALL:
            result |= x**2 + y**2 + z**2 < 1
        elif shape == Shape.CYLINDER:
            result |= (x**2 + y**2 < 1) & (abs(z) < 1)
        else:
            result |= np.maximum.reduce([abs(x), abs(y), abs(z)]) < 1
    return result


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rays_end_where_the_space_ahead_is_first_occupied(world: World, seed: int) -> None:
    view = camera(seed)
    points = hit_points(world, view, grid(view))
    origins, directions = rays(view, grid(view))
    depth = ((points - origins) * directions).sum(1) / (directions**2).sum(1)
    assert (depth > 0.5).all() and (depth < 9).all()
    # Free all along the way (up to 1 mm before the end), occupied just behind it.
    for part in np.linspace(0.0, 1.0, 400):
        assert not occupied(world, origins + (part * (depth - 1e-3))[:, None] * directions).any()
    behind = occupied(world, origins + (depth + 1e-4)[:, None] * directions)
    assert behind.mean() > 0.995  # a grazing ray may leave a solid again within 0.1 mm


def test_silhouette_of_a_ball(world: World) -> None:
    view = camera(5, 60, 40)
    radius, place = 0.7, np.array([0.1, 0.2, 1.0])
    row = np.concatenate([place, [radius] * 3, [1.0, 0.0], [1 / radius] * 3, [radius**2]])
    ball = world._replace(shapes=np.array([1, 0]), solids=np.stack([world.solids[0], row]))
    origins, directions = rays(view, grid(view))
    points = hit_points(ball, view, grid(view))
    toward = place - origins[0]
    cosine = directions @ toward / np.linalg.norm(directions, axis=1) / np.linalg.norm(toward)
    inside = cosine > np.sqrt(1 - radius**2 / (toward @ toward))
    np.testing.assert_array_equal(np.linalg.norm(points - place, axis=1) < radius * (1 + 1e-9), inside)
    assert 50 < inside.sum() < len(inside) - 50


def test_hit_points_project_back_to_their_pixels(world: World) -> None:
    view = camera(6)
    view = view.shifted(1.5, -0.75)
    points = torch.from_numpy(hit_points(world, view, grid(view)))
    local = points @ view.rotation.double().T + view.translation.double()
    u = view.fx * local[:, 0] / local[:, 2] + (view.width - 1) / 2 + 1.5
    v = view.fy * local[:, 1] / local[:, 2] + (view.height - 1) / 2 - 0.75
    # The camera's float32 rotation is orthogonal to 1e-7 only: measured 2e-6 pixels.
    np.testing.assert_allclose(np.column_stack([u, v]), grid(view), atol=2e-5)
    floor = points[:, 2].abs() < 1e-9
    assert floor.any()
    assert (points[:, 2] > -1e-6).all(), "nothing lies below the floor"


def test_photo_agrees_with_exposure_projection(world: World) -> None:
    view = camera(7)
    points = hit_points(world, view, grid(view))
    np.testing.assert_allclose(instant(view, 2).project(view, points)[1], grid(view), atol=2e-5)
    np.testing.assert_allclose(instant(view, 2).centers[0], view.center.numpy(), atol=1e-5)
    rotation, translation = pose(view)
    assert rotation.dtype == translation.dtype == np.float64


def test_photo_is_bright_everywhere_and_antialiased(world: World) -> None:
    view = camera(8, 48, 32)
    light = photograph(world, view, instant(view, 64))
    assert light.shape == (32, 48, 3)
    assert light.min() > 0 and light.max() < 1.3
    # A photo of four times the size, averaged, is the same photo: both integrate over the same pixel areas.
    large = view.resized(192, 128)
    mean = photograph(world, large, instant(large, 16)).reshape(32, 4, 48, 4, 3).mean((1, 3))
    assert np.abs(mean - light).mean() < 0.01  # measured 0.006; with one ray a pixel 0.09
    assert np.abs(mean - photograph(world, view, instant(view, 1))).mean() > 0.05


def test_light_falls_from_one_side_and_casts_shadows(world: World) -> None:
    plain = world._replace(colours=np.ones_like(world.colours), sizes=world.sizes * [1, 1, 0, 1])
    view = camera(9, 48, 32)
    lit, dark = (photograph(w, view, instant(view, 4)) for w in (plain, plain._replace(brightness=0.0)))
    points = hit_points(world, view, grid(view))
    floor = (points[:, 2] < 1e-6).reshape(32, 48)
    assert np.median(dark[floor]) == pytest.approx(world.ambient * 1.3, rel=1e-6)  # solids reach into some pixels
    reached = (lit - dark)[floor][:, 0]
    assert (reached < 1e-9).any(), "some of the floor is in shadow"
    assert (reached > 0.2).any(), "some of it is lit"


def test_srgb_round_trip() -> None:
    values = np.linspace(0, 1, 256)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)
    assert abs(srgb_to_linear(np.array(0.5)) - 0.21404) < 1e-5


def test_import_does_not_load_numba() -> None:
    code = "import sys, bags.datamodules.synthetic; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
