"""Whole runs with ``densify=mcmc``: budget, resume, every blur model, published runs as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from bags.callbacks import MCMC
from bags.errors import SettingError
from bags.ops.filter3d import filter_sigma
from bags.run.start import decide
from bags.run.trainer import make_trainer
from tests.integration.test_training import put_first, resumed_and_whole, run, settings_of, state_of

BUDGET = 230


# 200 Gaussians to begin with; some are dead when first looked at.
MORE = ("densify=mcmc", f"model.gaussians.max_count={BUDGET}", "densify.dead_opacity=0.05", "densify.growth=0.0013")


def mcmc(root: Path, *overrides: str) -> Any:
    return settings_of(root, *MORE, *overrides)


class Witness(Callback):
    """Checks each step when the optimiser is done with it; the last but noise, which comes with the step's end."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.losses: set[str] = set()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        gaussians, schedule = module.gaussians, module.schedule
        self.counts.append(len(gaussians))
        self.losses |= set(module.output.losses)
        assert not any(bool(getattr(gaussians, name).any()) for name in gaussians.STATISTICS)
        for name in gaussians.PARAMETERS:
            state = trainer.optimizers[0].state[getattr(gaussians, name)]
            if name != "sh_rest" or gaussians.sh_degree:
                assert state["exp_avg"].shape == state["exp_avg_sq"].shape == getattr(gaussians, name).shape
        if schedule.densifies(batch.step):
            cameras = trainer.datamodule.cameras(schedule.at(batch.step).scale)
            sigma = filter_sigma(gaussians.means.detach(), cameras, gaussians.settings.filter_variance)
            torch.testing.assert_close(gaussians.filter_sigma, sigma)


def test_the_number_grows_to_its_budget_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness()
    put_first(witness, monkeypatch)
    settings = mcmc(tmp_path)
    run(settings)
    assert witness.counts[0] == 200 and max(witness.counts) == witness.counts[-1] == BUDGET
    assert witness.counts == sorted(witness.counts) and len(set(witness.counts)) == 4
    assert {"photo", "opacity", "scale"} <= witness.losses
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    assert metrics["num_gaussians"] == BUDGET


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after relocation, the restart and a change of scale."""
    resumed_and_whole(tmp_path, MORE, (1, 9, 10, 12, 27, 39), monkeypatch)


@pytest.mark.parametrize("model", ["mip_splatting", "bags", "bags_paper", "trajectory", "lens", "hybrid", "auto"])
def test_every_blur_model_trains_with_it(model: str, tmp_path: Path) -> None:
    settings = mcmc(tmp_path, f"model={model}", "schedule.steps=20", "output.report=false", "output.time_lapse=0")
    run(settings)
    state = state_of(settings)
    assert state["global_step"] == 20 and 200 < len(state["state_dict"]["gaussians.means"]) <= BUDGET
    assert all(
        bool(value.isfinite().all()) for value in state["state_dict"].values() if isinstance(value, torch.Tensor)
    )


def test_callbacks_of_the_other_strategy_are_left_out(tmp_path: Path) -> None:
    def names(*overrides: str) -> set[str]:
        trainer = make_trainer(decide(settings_of(tmp_path, *overrides)))
        return {type(callback).__name__ for callback in trainer.callbacks}  # type: ignore[attr-defined]

    published, other = names(), names("densify=mcmc")
    assert published - other == {"Densify", "Prune", "OpacityReset"} and other - published == {"MCMC"}


def test_a_scene_without_a_live_gaussian_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = mcmc(tmp_path, "densify.dead_opacity=0.99", "schedule.steps=20", "output.time_lapse=0")
    run(settings)
    said = " ".join(capsys.readouterr().err.split())
    assert "step 16: every Gaussian is transparent; none can be moved" in said
    assert len(state_of(settings)["state_dict"]["gaussians.means"]) == 200


def test_a_skipped_step_shakes_nothing() -> None:
    from types import SimpleNamespace

    from tests.densification.test_densification import some_gaussians, stepped

    gaussians = some_gaussians()
    gaussians.opacity_logits.data[:] = -6.0
    optimizer: Any = stepped(gaussians)
    optimizer.param_groups[0]["name"] = "means"
    shaker = MCMC()
    shaker.configure(settings_of(Path("nowhere"), "densify=mcmc"))
    module: Any = SimpleNamespace(gaussians=gaussians)
    output: Any = SimpleNamespace(phase=SimpleNamespace(step=3))
    trainer: Any = SimpleNamespace(optimizers=[optimizer])
    before = gaussians.means.detach().clone()
    optimizer.found_inf = torch.tensor(1.0)
    shaker.after_step(trainer, module, output)
    assert torch.equal(gaussians.means, before)
    optimizer.found_inf = torch.tensor(0.0)
    shaker.after_step(trainer, module, output)
    assert not bool((gaussians.means == before).any())


def test_bad_values_are_told_in_a_line(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for override, message in {
        "model.gaussians.max_count=null": "model.gaussians.max_count = None: must be a number: densify=mcmc",
        "densify.strategy=gibbs": "densify.strategy = 'gibbs': must be one of published, mcmc",
        "densify.dead_opacity=1": "densify.dead_opacity = 1.0: must be below 1",
        "densify.growth=-0.1": "densify.growth = -0.1: must lie in [0, 1]",
        "densify.noise=-1": "densify.noise = -1.0: must be at least 0",
        "loss.opacity=-1": "loss.opacity = -1.0: must be at least 0",
        "loss.scale=-1": "loss.scale = -1.0: must be at least 0",
    }.items():
        with subtests.test(override):
            with pytest.raises(SettingError) as error:
                settings_of(tmp_path, "densify=mcmc", override)
            assert message in str(error.value) and "\n" not in str(error.value)


def test_the_group_sets_what_belongs_together(tmp_path: Path) -> None:
    chosen, default = settings_of(tmp_path, "densify=mcmc"), settings_of(tmp_path)
    assert (chosen.densify.strategy, chosen.loss.opacity, chosen.loss.scale) == ("mcmc", 0.01, 0.01)
    assert (default.densify.strategy, default.loss.opacity, default.loss.scale) == ("published", 0, 0)
