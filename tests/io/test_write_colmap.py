from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.parsers.colmap_files import read_model
from bags.io.colmap import write_colmap
from bags.settings import DatasetSettings
from bags.types import PointCloud
from tests.rendering.random_splats import random_camera
from tests.standins import built_in
from tests.standins import write_colmap as write_scene


def test_what_is_written_is_read(tmp_path):
    cameras = {"with space.jpg": random_camera(40, 30, 1), "b.png": random_camera(40, 30, 2)}
    cameras["c.png"] = replace(cameras["b.png"], fx=99.0)
    points = PointCloud(torch.randn(5, 3), torch.rand(5, 3))
    files = write_colmap(tmp_path / "sparse/0", cameras, points)
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["cameras.bin", "images.bin", "points3D.bin"]
    model = read_model(tmp_path / "sparse/0")
    assert len(model.cameras) == 2  # the first two are alike
    for image in model.images:
        camera, found = cameras[image.name], model.cameras[image.camera_id]
        assert (found.model, found.width, found.height) == ("PINHOLE", 40, 30)
        # Pixel centres on integers here, on halves there.
        assert found.params == pytest.approx((camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5))
        assert image.translation == pytest.approx(camera.translation.tolist(), abs=1e-6)
    torch.testing.assert_close(torch.tensor(model.xyz).float(), points.xyz)
    torch.testing.assert_close(torch.tensor(model.rgb).float() / 255, points.rgb, atol=0.51 / 255, rtol=0)


def test_a_scene_with_the_written_model_is_the_scene(tmp_path):
    root = write_scene(tmp_path / "scene")
    settings = DatasetSettings(parser="colmap", root=str(root), hold=None)
    scene = parse_colmap(settings)
    for old in (root / "sparse/0").iterdir():
        old.unlink()
    write_colmap(root / "sparse/0", {view.name: view.camera for view in scene.train}, scene.points)
    again = parse_colmap(settings)
    assert [view.name for view in again.train] == [view.name for view in scene.train]
    for one, other in zip(scene.train, again.train, strict=True):
        torch.testing.assert_close(one.camera.rotation, other.camera.rotation, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.camera.center, other.camera.center, atol=1e-5, rtol=0)
        assert (one.camera.fx, one.camera.cx) == pytest.approx((other.camera.fx, other.camera.cx))
    assert len(again.points.xyz) == len(built_in().points.xyz)


def test_no_points_is_fine(tmp_path):
    write_colmap(tmp_path, {"a.png": random_camera(40, 30)}, PointCloud(torch.zeros(0, 3), torch.zeros(0, 3)))
    assert len(read_model(tmp_path).images) == 1
