"""Background points lie behind the scene, where photos look, and look like them."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from bags.datamodules.background import count_beside, with_background
from bags.datamodules.pyramid import ImagePyramid
from bags.ops.geometry import quaternion_to_rotation
from bags.settings import DatasetSettings, GaussianSettings
from bags.types import Camera, PointCloud, View


@pytest.fixture
def photos() -> ImagePyramid:
    """Noise photos of three cameras anywhere, none of them with its principal point in the middle."""

    def view(number: int) -> View:
        generator = torch.Generator().manual_seed(number)
        rotation = quaternion_to_rotation(torch.randn(4, generator=generator))
        camera = Camera(rotation, torch.randn(3, generator=generator), 30.0, 35.0, 48, 32, offset=(2.0, -1.0))
        pixels = torch.randint(256, (32, 48, 3), generator=generator, dtype=torch.uint8).numpy()
        return View(f"{number}.png", camera, lambda: Image.fromarray(pixels))

    return ImagePyramid([view(number) for number in range(3)], DatasetSettings(), (2, 1))


@pytest.mark.parametrize("size", [5.0, 0.01])
def test_every_point_is_a_pixel_far_away(photos: ImagePyramid, size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    points = PointCloud(size * torch.randn(500, 3, generator=generator), torch.rand(500, 3, generator=generator))
    both = with_background(points, photos, 300, seed=0)
    assert torch.equal(both.xyz[:500], points.xyz) and torch.equal(both.rgb[:500], points.rgb)
    xyz, rgb = both.xyz[500:], both.rgb[500:]
    assert xyz.shape == rgb.shape == (300, 3) and xyz.dtype == rgb.dtype == torch.float32
    cameras = [photos.camera(view, 0) for view in range(3)]
    middle = torch.stack([camera.center for camera in cameras]).mean(dim=0)
    distances = (xyz - middle).norm(dim=1)
    assert distances.max() - distances.min() < 1e-4 * distances.max()
    assert ((points.xyz - middle).norm(dim=1) < distances.min()).float().mean() >= 0.985
    assert all((camera.center - middle).norm() < 0.6 * distances.min() for camera in cameras)
    seen = torch.zeros(300, dtype=torch.bool)
    views = 0
    for view, camera in enumerate(cameras):
        x, y, z = (xyz @ camera.rotation.T + camera.translation).unbind(1)
        column, row = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        inside = (z > 0) & (column.round().clamp(0, 23) - column).abs().lt(0.01) & (row.round() - row).abs().lt(0.01)
        column, row = column.round().long().clamp(0, 23), row.round().long().clamp(0, 15)
        same = (photos.image(view, 0)[:, row, column].T - rgb).abs().amax(dim=1) < 1e-6
        views += int((inside & same).any())
        seen |= inside & same
    assert bool(seen.all()) and views == 3


def test_no_pixel_is_drawn_twice(photos: ImagePyramid) -> None:
    xyz = with_background(PointCloud(torch.randn(9, 3), torch.rand(9, 3)), photos, 5000, 0).xyz[9:]
    assert len(xyz) == 3 * 24 * 16 and len(torch.unique(xyz, dim=0)) == len(xyz)


@pytest.mark.parametrize(
    ("points", "limit", "count"), [(150, None, 1000), (150, 2150, 1000), (150, 1150, 500), (150, 100, 0)]
)
def test_training_has_room_for_its_own(points: int, limit: int | None, count: int) -> None:
    assert count_beside(points, GaussianSettings(background_points=1000, max_count=limit)) == count


def test_draws_depend_on_the_seed_only(photos: ImagePyramid) -> None:
    points = PointCloud(torch.randn(9, 3), torch.rand(9, 3))
    first, again, other = (with_background(points, photos, 20, seed).xyz for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert with_background(points, photos, 0, 0) is points
