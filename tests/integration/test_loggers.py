"""What each logger keeps of a run, read back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.integration.test_training import run, settings_of

KEYS = {
    "loss/photo",
    "loss/total",
    "train/psnr",
    "train/gaussians",
    "train/scale",
    "rate/means",
    "rate/bpn",
    "test/psnr",
}


def test_csv(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "logger=csv")
    run(settings)
    with next(settings.folder.rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) >= KEYS
    assert [int(row["step"]) for row in rows if row["loss/total"]] == [10, 20, 30, 40]


def test_tensorboard(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = settings_of(tmp_path, "logger=tensorboard")
    run(settings)
    events = event_accumulator.EventAccumulator(str(next(settings.folder.rglob("events.out.*")).parent))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= KEYS
    assert "train/view" in events.Tags()["images"]


def test_wandb_offline(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "logger=wandb")
    run(settings)
    import wandb

    assert wandb.run is None, "the run must be finished: the next job of a sweep shares the process"
    records = next(settings.folder.rglob("*.wandb")).read_bytes()
    for key in KEYS:
        assert key.encode() in records, key
