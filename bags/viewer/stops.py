"""The viewpoints of a scene's photos."""

from __future__ import annotations

from functools import partial

from bags.datamodules.pyramid import ImagePyramid
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.datamodules.view_loader import view_at
from bags.types import ViewBatch
from bags.viewer.painter import Stop


def stops(datamodule: SceneDataModule) -> list[Stop]:
    """All training views, then all test views."""
    train, test, finest = datamodule.train, datamodule.test, datamodule.schedule.finest
    return [
        Stop(train.views[index].name, "train", train.camera(index, finest), partial(view_at, train, index))
        for index in range(len(train))
    ] + [
        Stop(test.views[index].name, "test", test.camera(index, 0), partial(_only_scale, test, index))
        for index in range(len(test))
    ]


def _only_scale(pyramid: ImagePyramid, index: int, scale: int) -> ViewBatch:
    """The view at its only scale: test views are loaded at full training resolution only."""
    return view_at(pyramid, index, 0)
