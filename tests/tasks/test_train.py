"""How a training ends that is not let to its end, and how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from bags.errors import BagsError
from bags.ops.threads import thread_count
from bags.run import checkpoint_io, results
from bags.run.checkpoint_io import read_checkpoint
from bags.run.start import Start
from bags.settings import Settings
from bags.system.signals import Stopped
from bags.tasks import train
from tests.integration.test_training import assert_same, assert_same_state, put_first, settings_of, state_of

STEPS = 8


class SignalAt(Callback):
    """Sends a signal in the middle of a step; step 0: before the first one."""

    def __init__(self, number: int, step: int) -> None:
        self.number, self.step = number, step

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if self.step == 0:
            os.kill(os.getpid(), self.number)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if pl_module.output.phase.step == self.step:
            os.kill(os.getpid(), self.number)


class Threads(Callback):
    """Notes the threads that torch and kernels use in every step."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.seen.add((torch.get_num_threads(), thread_count()))


def short(root: Path, *overrides: str) -> Settings:
    return settings_of(
        root, f"schedule.steps={STEPS}", "output.images_every=null", "dataset.synthetic.train_views=3",
        "ckpt_path=auto", "dataset.synthetic.test_views=1", "output.report=false", "output.checkpoint_every=3",
        *overrides,
    )  # fmt: skip


def names(settings: Settings) -> set[str]:
    return {path.name for path in (settings.folder / "checkpoints").glob("*")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = short(tmp_path_factory.mktemp("whole"))
    train.run(settings)
    return settings


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (signal.SIGINT, 0),
        (signal.SIGTERM, 0),
        (signal.SIGUSR1, 5),
        (signal.SIGTERM, STEPS),
        (signal.SIGINT, STEPS + 1),
        (signal.SIGTERM, STEPS + 1),
    ],
)
def test_signals_before_in_and_after_training(
    number: signal.Signals,
    step: int,
    whole: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = short(tmp_path)
    with monkeypatch.context() as patch:
        put_first(SignalAt(number, step), patch)
        if step > STEPS:  # while judging
            patch.setattr(results, "describe_training_views", lambda *_: os.kill(os.getpid(), number))
        with pytest.raises(Stopped) as stopped:
            train.run(settings)
    assert stopped.value.code == 128 + number
    assert capsys.readouterr().err.endswith(f"stopped by {number.name}: resume with the same command\n")
    if step == 0:
        assert names(settings) == set()
    else:
        assert state_of(settings)["global_step"] == min(step, STEPS)
        assert not (settings.folder / "metrics.json").exists()
    train.run(settings)
    assert (settings.folder / "metrics.json").exists()
    assert_same_state(settings.folder, whole.folder)


def test_a_damaged_last_checkpoint_costs_no_more_than_a_few_steps(whole: Settings, tmp_path: Path) -> None:
    settings = short(tmp_path)
    train.run(settings)
    last = settings.folder / "checkpoints/last.ckpt"
    (settings.folder / "metrics.json").unlink()
    last.write_bytes(last.read_bytes()[:-100])
    leftover = settings.folder / "train_views/.photo.part-12345678.png"
    leftover.write_text("half")
    train.run(settings)
    assert_same(state_of(whole)["state_dict"], state_of(settings)["state_dict"])
    assert state_of(settings, "previous.ckpt")["global_step"] == 6
    assert not leftover.exists()


@pytest.mark.parametrize("change", ["model.bpn.kernels=[3,5,7]", "dataset.synthetic.train_views=4"])
def test_checkpoint_of_another_model_is_refused_and_nothing_changes(
    change: str, whole: Settings, tmp_path: Path
) -> None:
    path = whole.folder / "checkpoints/last.ckpt"
    with pytest.raises(BagsError, match=r"last\.ckpt is not a checkpoint of this run's model: .*size mismatch for bpn"):
        train.run(short(tmp_path, change, f"ckpt_path={path}"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ([], ["config.yaml", "checkpoints"], STEPS),  # it was before its first checkpoint
        (["config.yaml", "checkpoints/previous.ckpt"], ["checkpoints/last.ckpt"], STEPS),  # it was between two renames
        ([], ["config.yaml", "checkpoints", "metrics.json"], None),  # it has finished the run
        (["config.yaml", "checkpoints/last.ckpt"], [], STEPS),  # there is no other process
    ],
)
def test_files_written_by_another_process_before_the_lock_count(
    before: list[str],
    after: list[str],
    step: int | None,
    whole: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the folder when this one looks for a checkpoint, and leaves it before this one asks for the lock."""
    settings = short(tmp_path)
    made, builds, begun = train.build, [], []

    def write(names: list[str]) -> None:
        for name in names:
            source, target = whole.folder / name, settings.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)

    def build(start: Start) -> Any:
        builds.append(start)
        if len(builds) == 1:
            write(after)
        return made(start)

    write(before)
    monkeypatch.setattr(train, "build", build)
    monkeypatch.setattr(
        train, "learn", lambda start, *made: begun.append(read_checkpoint(start.saved.path)["global_step"])
    )
    train.run(settings)
    assert begun == ([] if step is None else [step])
    assert len(builds) == (1 if step is None or not after else 2)
    left = settings.folder / "checkpoints/last.ckpt"
    assert left.read_bytes() == (whole.folder / "checkpoints/last.ckpt").read_bytes()


def test_the_checkpoint_is_read_and_checked_once(
    whole: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else has to: a large one takes seconds each time."""
    settings = short(tmp_path)
    shutil.copytree(whole.folder, settings.folder)
    (settings.folder / "metrics.json").unlink()
    checkpoints, read = settings.folder / "checkpoints", []
    os.replace(checkpoints / "previous.ckpt", checkpoints / "last.ckpt")  # of step 6
    monkeypatch.setattr(checkpoint_io, "read_checkpoint", lambda path: read.append(path) or read_checkpoint(path))
    train.run(settings)
    assert read == [checkpoints / "last.ckpt"]
    assert_same(state_of(settings)["state_dict"], state_of(whole)["state_dict"])


def test_finished_run_is_reported_and_left_alone(
    whole: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "build", None)
    monkeypatch.setattr(train, "owned", None)
    train.run(whole)
    assert "is finished" in capsys.readouterr().err and (whole.folder / "metrics.json").exists()


@pytest.mark.parametrize(("first", "then"), [("numba", "reference"), ("reference", "numba")])
def test_another_rasteriser_goes_on(first: str, then: str, tmp_path: Path) -> None:
    begun = short(tmp_path / "begun", f"rasterizer={first}")
    train.run(begun)
    path = begun.folder / "checkpoints/previous.ckpt"
    settings = short(tmp_path / "went_on", f"rasterizer={then}", f"ckpt_path={path}")
    train.run(settings)
    one, other = (json.loads((s.folder / "metrics.json").read_text()) for s in (begun, settings))
    assert other["steps"] == STEPS and state_of(begun, "previous.ckpt")["global_step"] == 6
    assert other["psnr"] == pytest.approx(one["psnr"], abs=0.05)
    for name in ("gaussians.means", "gaussians.opacity_logits"):
        weights = [state_of(s)["state_dict"][name] for s in (begun, settings)]
        assert torch.allclose(*weights, atol=0.1), name  # Adam turns the last bit of a tiny gradient into a whole step


def test_torch_uses_one_thread_in_small_steps_and_gets_its_own_back(tmp_path, monkeypatch):
    threads, before = Threads(), torch.get_num_threads()
    put_first(threads, monkeypatch)
    try:
        torch.set_num_threads(2)
        train.run(short(tmp_path))
        assert threads.seen == {(1, 2)}
        assert torch.get_num_threads() == thread_count() == 2
    finally:
        torch.set_num_threads(before)
