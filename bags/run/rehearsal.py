"""How many steps of a training fit into its time, measured before it starts and without reading its photos."""

from __future__ import annotations

from dataclasses import replace

import torch

from bags.datamodules.resolution import training_size
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.modules.step_cost import step_costs
from bags.ops.threads import torch_threads_by_size
from bags.run.build import make_module
from bags.run.start import decide
from bags.schedule import ScaleSchedule
from bags.schedule.pace import Pace
from bags.settings import Settings
from bags.types import ViewBatch


def steps_that_fit(settings: Settings) -> int:
    """Steps that fit into ``schedule.minutes`` of ``settings`` on this machine, at most the published schedule's.

    The measured steps use the scene's first camera, with a photo of noise, and the scene's points as initial Gaussians.
    """
    assert settings.schedule.minutes is not None
    start, schedule = decide(settings), ScaleSchedule(settings.schedule)
    datamodule = SceneDataModule(settings.dataset, schedule, settings.seed, settings.trainer.views)
    scene = datamodule.scene
    camera, factor = scene.train[0].camera, settings.dataset.factor
    width = training_size(camera.width, camera.height, factor, schedule.divisors[-1])[0]
    module = make_module(start, datamodule, scene.points, width).to(start.device)

    def views(step: int) -> list[ViewBatch]:
        divisor = schedule.at(step).divisor
        seen = camera.resized(*training_size(camera.width, camera.height, factor, divisor))
        batch = ViewBatch(seen, torch.rand(3, seen.height, seen.width), 0, scene.train[0].name, step)
        window = settings.dataset.window
        if window is not None:
            batch = batch.cropped(0, 0, min(window, seen.width), min(window, seen.height))
        return [replace(batch, slot=slot) for slot in range(settings.trainer.views // settings.trainer.devices)]

    finest = camera.resized(*training_size(camera.width, camera.height, factor, schedule.divisors[-1])).to(start.device)
    with torch_threads_by_size():
        costs = step_costs(module, views, [finest])
    return Pace(schedule, 60 * settings.schedule.minutes, costs).fitting(0, 0.0)
