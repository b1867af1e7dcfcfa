"""What holds at every step of a run, whichever callback sees to it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback

from bags.callbacks.scale_reset import ScaleReset
from bags.modules.camera_blur import CameraBlur
from bags.modules.lens import Lenses
from bags.modules.trajectory import Paths
from bags.ops.filter3d import filter_sigma
from bags.schedule import ScaleSchedule
from bags.settings import LensSettings, OptimSettings, ScheduleSettings, TrajectorySettings
from tests.integration.test_training import put_first, run, settings_of


class Witness(Callback):
    """Checks each step when the optimiser is done with it."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.densified: list[int] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step, gaussians, schedule, optim = batch.step, module.gaussians, module.schedule, module.optim
        self.losses.append(float(sum(module.output.losses.values())))
        rates = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        position = schedule.position_rate(step, optim.position, optim.position_final) * gaussians.extent
        assert rates["means"] == pytest.approx(position * schedule.cooling(step))
        others = {"opacity_logits": optim.opacity, "log_scales": optim.scale, "rotations": optim.rotation}
        others |= {"sh_dc": optim.sh_dc, "sh_rest": optim.sh_rest, "bpn": optim.bpn}
        assert {"means", *others} == set(rates) and len(set(others.values())) == len(others)
        for name, rate in others.items():
            assert rates[name] == pytest.approx(rate * schedule.cooling(step)), name
        assert gaussians.sh_degree == schedule.sh_degree(step, 3)
        assert batch.camera.width == 48 // schedule.at(step).divisor
        for name in gaussians.PARAMETERS:
            state = trainer.optimizers[0].state[getattr(gaussians, name)]
            if name != "sh_rest" or gaussians.sh_degree:
                assert state["exp_avg"].shape == state["exp_avg_sq"].shape == getattr(gaussians, name).shape
        if schedule.densifies(step):
            self.densified.append(len(gaussians))
            assert not any(bool(getattr(gaussians, name).any()) for name in gaussians.STATISTICS)
            cameras = trainer.datamodule.cameras(schedule.at(step).scale)
            sigma = filter_sigma(gaussians.means.detach(), cameras, gaussians.settings.filter_variance)
            torch.testing.assert_close(gaussians.filter_sigma, sigma)
        elif schedule.densifying(step):
            assert bool(gaussians.gradient_count.any())
        if schedule.resets_opacity(step):
            drawn = gaussians.splats().opacities
            assert bool((drawn <= 0.0101).all())


def test_rates_of_path_and_lens_fall_over_the_whole_run() -> None:
    schedule, optim = ScaleSchedule(ScheduleSettings(iterations=1000, ms_steps=100, cooldown=0.5)), OptimSettings()
    paths = Paths(2, TrajectorySettings(), 1.0, 0, 0.01)
    lenses = Lenses(2, LensSettings(), torch.zeros(3), 0, 0.01)
    groups = CameraBlur(paths, lenses, TrajectorySettings(), linear_light=True).parameter_groups(optim)
    groups = [{**group, "rate": group["lr"]} for group in groups]
    trainer = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=groups)])
    module = SimpleNamespace(schedule=schedule, optim=optim, paths=paths)
    assert [group["name"] for group in groups] == ["trajectory", "moment", "lens"]
    rates = [optim.trajectory, optim.moment, optim.lens]
    for step in (1, 99, 101, 700, 1000):
        ScaleReset().before_step(trainer, module, step)  # type: ignore[arg-type]
        expected = [rate * optim.camera_final ** (step / 1000) for rate in rates]
        assert [group["lr"] for group in groups] == pytest.approx(expected)


def test_what_holds_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, "schedule.sh_every=1000", "schedule.cooldown=0.5", "optim.bpn=7e-4")
    witness = Witness()
    put_first(witness, monkeypatch)
    run(settings)
    assert len(witness.losses) == 40 and len(set(witness.densified)) > 1
    with open(settings.folder / "history.csv", newline="") as file:
        rows = [float(row["loss"]) for row in csv.DictReader(file)]
    assert rows == pytest.approx([sum(witness.losses[i : i + 10]) / 10 for i in range(0, 40, 10)], rel=1e-5)
