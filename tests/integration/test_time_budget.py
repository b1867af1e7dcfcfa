"""``schedule.minutes`` in whole runs, by a clock that only steps move."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bags.callbacks import stopwatch, time_budget
from bags.errors import BagsError
from bags.modules import step_cost
from bags.modules.bags_module import BagsModule
from bags.run import process
from bags.settings import Settings
from bags.tasks import evaluate, render, train
from tests.integration.test_training import assert_same, assert_same_state, run, settings_of, state_of
from tests.integration.test_views_per_step import command

SECONDS = {4: 1 / 64, 2: 1 / 8, 1: 1 / 2}  # of a step, by its scale; they add up without rounding


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine on which a step takes ``SECONDS`` times what ``load(step)`` says, once the run has begun."""

    class Clock:
        now = 0.0
        load: Callable[[int], float] = staticmethod(lambda step: 1.0)

    step = BagsModule.training_step

    def slow(self: BagsModule, batch: Any, batch_idx: int) -> Any:
        load = 1.0 if self._trainer is None else Clock.load(batch.step)
        Clock.now += SECONDS[self.schedule.at(batch.step).divisor] * load
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BagsModule, "training_step", slow)
    for module in (stopwatch, step_cost):
        monkeypatch.setattr(module, "perf_counter", lambda: Clock.now)
    monkeypatch.setattr(time_budget, "FEWEST", 5)
    return Clock


def short(root: Path, *overrides: str) -> Settings:
    return settings_of(
        root, "schedule.steps=null", "schedule.minutes=0.5", "dataset.synthetic.train_views=3",
        "dataset.synthetic.test_views=1", "output.report=false", "output.images_every=null", "ckpt_path=auto",
        *overrides,
    )  # fmt: skip


def metrics_of(settings: Settings) -> Any:
    return json.loads((settings.folder / "metrics.json").read_text())


def slower(step: int) -> float:
    return 1.0 if step < 30 else 1.5


@pytest.mark.parametrize("views", [1, 2])
def test_run_ends_in_time_and_reports_its_decisions(views: int, clock: Any, tmp_path: Path) -> None:
    clock.load = slower
    steps = (f"trainer.views_per_step={views}", f"schedule.minutes={0.5 * views}")
    settings = short(tmp_path, "output.checkpoint_steps=[20]", *steps)
    run(settings)
    metrics, saved = metrics_of(settings), state_of(settings)
    found = metrics["budget"]
    assert found["minutes"] == 0.5 * views and found["used_minutes"] == pytest.approx(0.5 * views, rel=0.1)
    assert found["used_minutes"] == pytest.approx(metrics["train_seconds"] / 60, abs=0.01)
    first, *later = found["decisions"]
    assert first["after_step"] == 0 and later and later[-1]["steps"] == metrics["steps"] == saved["global_step"]
    assert metrics["steps"] < first["steps"] and 0.6 * views < later[-1]["seconds_a_step"] < 0.85 * views
    assert [list(decision.values()) for decision in found["decisions"]] == [
        [after, total, pytest.approx(seconds, abs=1e-4)] for after, total, seconds in saved["decisions"]
    ]

    evaluate.run(settings)
    again = metrics_of(settings)
    assert_same(again["per_view"], metrics["per_view"])
    assert again["budget"] == found and again["steps"] == metrics["steps"]
    early = short(tmp_path, *steps, "ckpt_path=20")
    evaluate.run(early)
    assert json.loads((settings.folder / "metrics_20.json").read_text())["steps"] == 20
    render.run(early)
    assert list((settings.folder / "renders/step_20/test").glob("*.png"))


def test_only_notable_changes_of_the_length_are_told(
    clock: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "quiet_logs", lambda: None)  # which replaces the handler that listens here
    clock.load = slower
    settings = short(tmp_path)
    with caplog.at_level("INFO", "bags.callbacks.time_budget"):
        run(settings)
    lengths = [decision["steps"] for decision in metrics_of(settings)["budget"]["decisions"]]
    first, *told = (record.getMessage() for record in caplog.records if record.name == time_budget.__name__)
    assert f": {lengths[0]} steps in " in first
    known, notable = lengths[0], []
    for length in lengths:
        if abs(length / known - 1) > 0.1:
            notable.append(f"{length} steps fit now instead of {known}")
            known = length
    assert [line.partition(": ")[2].partition(",")[0] for line in told] == notable
    assert 0 < len(notable) < len(lengths) - 1, "some are notable, others are not"


def test_run_resumed_across_decisions_equals_uninterrupted_run(
    clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.load = slower
    whole = short(tmp_path, "name=whole")
    run(whole)
    decisions = [decision["after_step"] for decision in metrics_of(whole)["budget"]["decisions"]]
    assert len(decisions) >= 3 and any(after > 30 for after in decisions)
    stops = [1, 29, *decisions[1:], decisions[-1] - 1, metrics_of(whole)["steps"] - 1]
    broken = short(tmp_path, "name=broken")
    for stop in sorted(set(stops)):
        run(broken, stop, monkeypatch)
        assert state_of(broken)["global_step"] == stop
    run(broken)
    assert_same_state(broken.folder, whole.folder)
    assert_same(state_of(broken)["decisions"], state_of(whole)["decisions"])
    assert (broken.folder / "history.csv").read_text() == (whole.folder / "history.csv").read_text()
    scores = [metrics_of(settings) for settings in (whole, broken)]
    for key in ("per_view", "train_views", "budget"):
        assert_same(scores[0][key], scores[1][key], key)


def test_measuring_touches_nothing(clock: Any, tmp_path: Path) -> None:
    """A run whose whole schedule fits is the run without a budget."""
    whole = ("schedule.iterations=36", "schedule.ms_steps=12", "schedule.scale_starts=[1,4,9]")
    plain, budget = short(tmp_path, *whole, "schedule.minutes=null", "name=plain"), short(tmp_path, *whole)
    run(plain)
    run(budget)
    assert metrics_of(plain)["budget"] is None
    assert [decision["steps"] for decision in metrics_of(budget)["budget"]["decisions"]] == [36]
    assert_same_state(budget.folder, plain.folder)


def test_a_trained_run_that_was_not_judged_is_judged(clock: Any, tmp_path: Path) -> None:
    settings = short(tmp_path)
    run(settings)
    before, saved = metrics_of(settings), state_of(settings)
    (settings.folder / "metrics.json").unlink()
    run(settings)
    assert_same(metrics_of(settings)["per_view"], before["per_view"])
    assert_same(state_of(settings)["state_dict"], saved["state_dict"])


def test_too_short_a_budget_names_the_least(clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_budget, "FEWEST", 300)
    words = r"schedule\.minutes = 0\.5 is too short: at 0\.4\d? s per step, the least .* \(300\) takes 2\.\d minutes"
    with pytest.raises(BagsError, match=words):
        train.run(short(tmp_path))
    assert not list(tmp_path.glob("*/checkpoints/*"))


def test_several_processes_decide_together(tmp_path: Path) -> None:
    whole = ("schedule.iterations=12", "schedule.ms_steps=6", "schedule.scale_starts=[1,3,5]")
    done = command(tmp_path, "trainer=ddp", "schedule.steps=null", "schedule.minutes=30", "output.report=false", *whole)
    assert done.returncode == 0, done.stdout
    assert "12 steps in" in done.stdout and done.stdout.count("results in") == 1
    (metrics,) = (json.loads(path.read_text()) for path in tmp_path.glob("*/metrics.json"))
    assert [decision["steps"] for decision in metrics["budget"]["decisions"]] == [12]
