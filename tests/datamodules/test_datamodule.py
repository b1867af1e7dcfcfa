from __future__ import annotations

import pytest
import torch

from bags.datamodules import scene_datamodule
from bags.datamodules.scene_datamodule import SceneDataModule, scene_extent
from bags.errors import DataError
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, ScheduleSettings
from bags.types import Camera, PointCloud, Scene

SCHEDULE = ScaleSchedule(ScheduleSettings(iterations=9, ms_steps=3, scale_divisors=(2, 1), scale_starts=(1, 5)))


def datamodule(root, **kwargs):
    return SceneDataModule(DatasetSettings(parser="colmap", root=str(root), **kwargs), SCHEDULE, seed=0)


def test_everything_a_run_asks_for(colmap_scene):
    data = datamodule(colmap_scene(photo_size=(96, 64)), hold=2, factor=2)
    data.setup()
    data.setup("fit")  # Lightning calls it again
    assert [view.name for view in data.scene.train] == ["b.png", "d.png"]
    assert data.training_width == 48
    assert [(c.width, c.height) for c in data.cameras(0)] == [(24, 16)] * 2
    assert [b.image.shape[1:] for b in data.train_dataloader()] == [(16, 24)] * 4 + [(32, 48)] * 5
    assert [(b.name, b.camera.width) for b in data.train_views_dataloader()] == [("b.png", 48), ("d.png", 48)]
    assert [(b.name, b.camera.width, b.step) for b in data.test_dataloader()] == [("a.png", 48, 0), ("c.png", 48, 0)]
    assert data.train is data.train


def test_no_test_views(colmap_scene):
    data = datamodule(colmap_scene(), hold=None)
    data.setup()
    assert list(data.test_dataloader()) == []


def cameras_at(centers):
    generator = torch.Generator().manual_seed(0)
    cameras = []
    for center in centers:
        rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
        cameras.append(Camera(rotation, -rotation @ torch.tensor(center), 1.0, 1.0, 8, 8))
    return cameras


def test_extent():
    centers = [(0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (2.0, 3.0, 0.0)]  # mean (2, 1, 0)
    assert scene_extent(cameras_at(centers)) == pytest.approx(1.1 * 5**0.5)


def test_extent_counts_training_cameras_only(colmap_scene):
    data = datamodule(colmap_scene(), hold=2)
    assert data.extent == scene_extent([view.camera for view in data.scene.train])


def test_no_extent():
    with pytest.raises(DataError, match="different places"):
        scene_extent(cameras_at([(1.0, 2.0, 3.0)]))


def test_parser_is_chosen_by_name(monkeypatch):
    made = Scene("made", (), (), PointCloud(torch.zeros(1, 3), torch.zeros(1, 3)))
    monkeypatch.setitem(scene_datamodule.PARSERS, "synthetic", lambda settings: made)
    assert SceneDataModule(DatasetSettings(parser="synthetic"), SCHEDULE, 0).scene is made
    assert set(scene_datamodule.PARSERS) == {"colmap", "nerfstudio", "blender", "multiscale_blender", "synthetic"}
