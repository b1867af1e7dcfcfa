"""Checkpoint files: proved whole, two of them kept, the older one where the newer is damaged."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from bags.errors import BagsError, DataError
from bags.run.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from bags.run.checkpoints import checkpoint, take_place
from bags.run.folder import begin
from bags.settings import Settings


def state(step: int, value: float = 0.5) -> dict[str, Any]:
    weights = torch.full((100, 100), value) + torch.arange(100)
    return {"state_dict": {"weights": weights}, "optimizer_states": [{"state": {0: weights}}], "global_step": step}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run that was saved at steps 1, 2 and 3, and step 1 for good."""
    settings = Settings(output_root=str(tmp_path), ckpt_path="auto")
    begin(settings)
    for name, step in (("step_1", 1), ("last", 1), ("last", 2), ("last", 3)):
        AtomicCheckpointIO().save_checkpoint(state(step), settings.folder / f"checkpoints/{name}.ckpt")
    return settings


def step_of(path: Path | None) -> int:
    assert path is not None
    return int(read_checkpoint(path)["global_step"])


def found(settings: Settings) -> Path:
    saved = checkpoint(settings)
    assert saved is not None and step_of(saved.path) == saved.step
    return saved.path


def flip(path: Path, where: float = 0.5) -> None:
    """One bit of the file, at this part of it."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 16
    path.write_bytes(data)


def test_the_last_two_are_kept(settings: Settings) -> None:
    folder = settings.folder / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "previous.ckpt", "step_1.ckpt"}
    assert [step_of(folder / name) for name in ("last.ckpt", "previous.ckpt", "step_1.ckpt")] == [3, 2, 1]
    assert step_of(found(settings)) == 3


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "gone"])
def test_damaged_last_checkpoint_falls_back_to_previous(
    damage: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    last = settings.folder / "checkpoints/last.ckpt"
    if damage == "flipped":
        flip(last)
        assert isinstance(torch.load(last, weights_only=True), dict), "torch alone does not see it"
    elif damage == "truncated":
        last.write_bytes(last.read_bytes()[:-700])
    elif damage == "empty":
        last.write_bytes(b"")
    else:
        last.unlink()
    with caplog.at_level(logging.WARNING):
        path = found(settings)
    assert step_of(path) == 2
    assert ("last.ckpt" in caplog.text and "previous.ckpt instead" in caplog.text) == (damage != "gone")
    assert path is not None and take_place(path) == last and step_of(last) == 2
    assert not path.exists() and take_place(last) == last
    AtomicCheckpointIO().save_checkpoint(state(4), last)
    assert [step_of(last), step_of(path)] == [4, 2], "the good one was not pushed out"


def test_damaged_file_is_named(settings: Settings, tmp_path: Path) -> None:
    folder = settings.folder / "checkpoints"
    flip(folder / "step_1.ckpt")
    for name in ("1", str(folder / "step_1.ckpt")):
        with pytest.raises(DataError, match=r"step_1\.ckpt: damaged in record"):
            checkpoint(Settings(output_root=str(tmp_path), ckpt_path=name))
    for name in ("last.ckpt", "previous.ckpt"):
        flip(folder / name)
    with pytest.raises(BagsError, match=r"last\.ckpt is damaged.*step_1\.ckpt"):
        checkpoint(settings)


def test_non_finite_checkpoint_is_not_written(settings: Settings, subtests: pytest.Subtests) -> None:
    for value in [float("nan"), float("inf")]:
        with subtests.test(value=value):
            last = settings.folder / "checkpoints/last.ckpt"
            message = r"last\.ckpt was not written.*state_dict\.weights, optimizer_states\.0\."
            with pytest.raises(BagsError, match=message):
                AtomicCheckpointIO().save_checkpoint(state(4, value), last)
            assert step_of(last) == 3


def test_state_that_could_not_be_loaded_is_not_saved(settings: Settings, subtests: pytest.Subtests) -> None:
    for strange, named in [({1}, "set"), (torch.Size([1]), "torch Size"), (1j, "complex")]:
        with subtests.test(named):
            last = settings.folder / "checkpoints/last.ckpt"
            with pytest.raises(BagsError, match=rf"last\.ckpt was not written: its state contains \S*\s?{named};"):
                AtomicCheckpointIO().save_checkpoint({**state(4), "callbacks": {"Mine": {"seen": strange}}}, last)
            assert step_of(last) == 3 and step_of(last.with_name("previous.ckpt")) == 2
