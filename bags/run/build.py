"""Creates the scene of a run and the module that learns it, from ``Start``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import torch

from bags.datamodules.background import count_beside, with_background
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.datamodules.start_points import around, thinned
from bags.errors import DataError
from bags.modules.auto_blur import SHARP, Choices
from bags.modules.bags_module import BagsModule
from bags.modules.gaussians import random_points
from bags.ops.edge_width import edge_width
from bags.ops.precision import has_fast_bfloat16
from bags.run.checkpoint_io import Saved
from bags.run.device import idle_cuda
from bags.run.start import Start, decide
from bags.schedule import ScaleSchedule
from bags.settings import GaussianSettings, Settings
from bags.types import PointCloud, View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained run, for the tasks that use one.

    Attributes:
        start: decisions at the start.
        datamodule: its scene.
        module: with the weights of the checkpoint, in evaluation mode.
        step: after which the checkpoint was written.
        callbacks: their states in the checkpoint, by name.
    """

    start: Start
    datamodule: SceneDataModule
    module: BagsModule
    step: int
    callbacks: Any

    @torch.no_grad()
    def photos(self) -> list[View]:
        """The training views, with the poses that the Gaussians fit: refined ones with ``model.refine_poses``."""
        device = self.module.device
        return [
            replace(view, camera=self.module.posed(index, view.camera.to(device)).to("cpu"))
            for index, view in enumerate(self.datamodule.scene.train)
        ]


def trained(settings: Settings) -> Trained:
    """The run ``settings``, loaded from the checkpoint ``ckpt_path``, by default the last one."""
    start = decide(settings, default="last")
    assert start.saved is not None
    datamodule, module = build(start)
    callbacks = start.saved.handed_over().get("callbacks")  # not the rest: moments are twice the weights
    return Trained(start, datamodule, module.eval(), start.saved.step, callbacks)


def build(start: Start) -> tuple[SceneDataModule, BagsModule]:
    """Read the scene and create the module that learns it, on the run's device, with the weights of ``start.saved``."""
    settings = start.settings
    if reason := idle_cuda(settings.trainer, settings.rasterizer):
        log.warning("%s", reason)
    datamodule = SceneDataModule(
        settings.dataset, ScaleSchedule(settings.schedule), settings.seed, settings.trainer.views
    )
    datamodule.setup()
    points = start_points(settings.model.gaussians, settings.seed, datamodule)
    module = make_module(start, datamodule, points, datamodule.training_width)
    tell_precision(module)
    module = module.to(start.device)
    if start.saved is not None:
        restore(module, start.saved)
    elif module.choices is not None:
        choose_blurred(module.choices, datamodule)
    return datamodule, module


def make_module(start: Start, datamodule: SceneDataModule, points: PointCloud, width: int) -> BagsModule:
    """The module that learns a scene from ``points``, with views ``width`` pixels wide; Gaussians are on the device."""
    settings, device = start.settings, start.device
    shown = datamodule.scene.points.xyz
    shown = shown if len(shown) else points.xyz
    return BagsModule(
        settings.model,
        settings.optim,
        settings.loss,
        settings.dataset,
        settings.seed,
        datamodule.schedule,
        PointCloud(points.xyz.to(device), points.rgb.to(device)),
        cameras=[view.camera for view in datamodule.scene.train],
        extent=datamodule.extent,
        centre=shown.median(dim=0).values.to(device),
        width=width,
        rasterizer=start.rasterizer,
        bfloat16=start.bfloat16,
    )


def choose_blurred(choices: Choices, datamodule: SceneDataModule) -> None:
    """Decide which training photos are blurred, from the photos alone, at the full training resolution."""
    choices.choose([edge_width(view.image) for view in datamodule.train_views_dataloader()])
    sharp, photos = choices.listed.count(SHARP), len(choices.listed)
    rest = "the others" if sharp else "all"
    log.info("model.blur_model=auto: %d of %d photos count as sharp; blur is modelled in %s", sharp, photos, rest)


def tell_precision(module: BagsModule) -> None:
    """Log the precision of the blur model, with a warning if it is slow on this machine."""
    if module.bpn is None:
        return
    rounds, fast = module.bpn.rounds, has_fast_bfloat16(module.gaussians.means.device)
    if rounds and not fast:
        log.warning(
            "model.bpn.bfloat16=true: this machine has no instructions for bfloat16, so steps take several times "
            "as long as in float32; use auto"
        )
    else:
        log.info("blur model in %s", "bfloat16" if rounds else "float32")


def start_points(gaussians: GaussianSettings, seed: int, datamodule: SceneDataModule) -> PointCloud:
    """The scene's points plus background points, or random points if it has none; at most ``max_count``."""
    points = datamodule.scene.points
    most = gaussians.max_count or max(gaussians.random_points, len(points.xyz))
    if len(points.xyz) == 0:
        points = random_points(min(gaussians.random_points, most), seed)
        return points if datamodule.scene.unit else around(points, datamodule.scene, datamodule.extent)
    if len(points.xyz) > most:
        log.warning(
            "%s of the %s initial points are used, drawn at random (model.gaussians.max_count)",
            f"{most:,}", f"{len(points.xyz):,}",
        )  # fmt: skip
    points = thinned(points, most, seed)
    return with_background(points, datamodule.train, count_beside(len(points.xyz), gaussians), seed)


def restore(module: BagsModule, saved: Saved) -> None:
    """Load a checkpoint into ``module``, and its decisions on the run's length into the schedule.

    Raises:
        DataError: it is a checkpoint of another model.
    """
    assert saved.contents is not None
    try:
        module.load_state_dict(saved.contents["state_dict"])
        module.schedule.restore(saved.contents.get("decisions", ()))
    except Exception as error:  # torch raises many kinds for values that do not match
        raise DataError(f"{saved.path} is not a checkpoint of this run's model: {error}") from error
