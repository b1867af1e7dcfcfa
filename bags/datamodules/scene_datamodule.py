"""A scene as a Lightning data module."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from lightning import LightningDataModule

from bags.datamodules.mixed_resolution import mix_resolutions
from bags.datamodules.placement import place
from bags.datamodules.pyramid import ImagePyramid
from bags.datamodules.view_loader import AllViews, ViewLoader
from bags.errors import DataError
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, dataset
from bags.settings.limits import register
from bags.types import Camera, Scene

log = logging.getLogger(__name__)


def _parse_colmap(settings: DatasetSettings) -> Scene:
    from bags.datamodules.parsers.colmap import parse_colmap

    return parse_colmap(settings)


def _parse_nerfstudio(settings: DatasetSettings) -> Scene:
    from bags.datamodules.parsers.nerfstudio import parse_nerfstudio

    return parse_nerfstudio(settings)


def _parse_blender(settings: DatasetSettings) -> Scene:
    from bags.datamodules.parsers.blender import parse_blender

    return parse_blender(settings)


def _parse_multiscale_blender(settings: DatasetSettings) -> Scene:
    from bags.datamodules.parsers.multiscale_blender import parse_multiscale_blender

    return parse_multiscale_blender(settings)


def _make_synthetic(settings: DatasetSettings) -> Scene:
    from bags.datamodules.synthetic import make_synthetic_scene

    return make_synthetic_scene(settings.synthetic)


Parser = Callable[[DatasetSettings], Scene]
PARSERS: dict[str, Parser] = {
    "colmap": _parse_colmap,
    "nerfstudio": _parse_nerfstudio,
    "blender": _parse_blender,
    "multiscale_blender": _parse_multiscale_blender,
    "synthetic": _make_synthetic,
}


def register_parser(name: str) -> Callable[[Parser], Parser]:
    """Let ``dataset.parser=name`` read scenes with the decorated function (examples/03_own_dataset.py).

    The function takes the section ``dataset`` and returns a ``Scene``. It raises ``DataError`` for files that it cannot
    use.
    """
    return register(name, dataset.PARSERS, PARSERS)


def scene_extent(cameras: Sequence[Camera]) -> float:
    """1.1 x the largest distance of a camera from the mean camera centre (docs/method.md section 1), scene units.

    Raises:
        DataError: all cameras are in one place, so the scene has no size.
    """
    centers = torch.stack([camera.center.double() for camera in cameras])
    extent = 1.1 * float((centers - centers.mean(dim=0)).norm(dim=1).max())
    if not extent > 0:
        raise DataError(
            f"the {len(cameras)} training camera(s) are all in one place, so the scene's extent is 0; use photos from"
            " different places, or hold out fewer of them (dataset.hold)"
        )
    return extent


class SceneDataModule(LightningDataModule):
    """Parses a scene and provides its views. Everything is read once, at first use.

    Args:
        settings: of the data set.
        schedule: of the run.
        seed: of the draws of training views.
        views: per optimiser step, over all processes of the run.
    """

    def __init__(self, settings: DatasetSettings, schedule: ScaleSchedule, seed: int, views: int = 1) -> None:
        super().__init__()
        self.views = views
        self.settings = settings
        self.schedule = schedule
        self.seed = seed

    @cached_property
    def scene(self) -> Scene:
        """The parsed scene, with training views of mixed resolution if the settings ask for that."""
        scene = PARSERS[self.settings.parser](self.settings)
        if scene.summary:
            log.info("%s", scene.summary)
        return mix_resolutions(scene, self.settings)

    @cached_property
    def train(self) -> ImagePyramid:
        """Training photos at every scale of the schedule."""
        return ImagePyramid(self.scene.train, self.settings, self.schedule.divisors)

    @cached_property
    def test(self) -> ImagePyramid:
        """Test photos at the schedule's last scale: full training resolution."""
        return ImagePyramid(self.scene.test, self.settings, self.schedule.divisors[-1:])

    @cached_property
    def extent(self) -> float:
        """Scene extent in scene units."""
        return scene_extent([view.camera for view in self.scene.train])

    @property
    def training_width(self) -> int:
        """Width in pixels of the widest training view at full training resolution."""
        return max(camera.width for camera in self.cameras(self.schedule.finest))

    def cameras(self, scale: int) -> list[Camera]:
        """All training cameras at scale ``scale`` (0 = coarsest)."""
        return [self.train.camera(index, scale) for index in range(len(self.train))]

    def setup(self, stage: str | None = None) -> None:
        """Read everything, so that errors in the scene are reported immediately.

        Raises:
            DataError: the scene cannot be used.
            SettingError: its training resolution is impossible.
        """
        _ = self.train, self.test, self.extent

    def train_dataloader(self) -> ViewLoader:
        """The training views of every step for this process: all of them, or its share."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = self.views // world
        slots = range(rank * share, (rank + 1) * share)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        pyramid, feed = place(self.train, self.settings.images_on, device)
        return ViewLoader(pyramid, self.schedule, self.seed, self.settings.window, self.views, slots, feed)

    def train_views_dataloader(self) -> AllViews:
        """Every training view once, at full training resolution."""
        return AllViews(self.train, self.schedule.finest)

    def test_dataloader(self) -> AllViews:
        """Every test view once, at full training resolution."""
        return AllViews(self.test, 0)
