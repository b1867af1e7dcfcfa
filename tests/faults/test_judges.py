"""What judges the campaign's runs tells the wrong from the right: given broken ones, every part of it loses."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.faults import disk, kills, long_load, numbers, resumes, signals
from tests.faults.runs import CHECKPOINT_EVERY, STEPS, difference, kept, saved, schedule


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference, tmp_path / "run"))


def change_checkpoint(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    checkpoint = saved(run)
    change(checkpoint)
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")


def one_bit(checkpoint: dict[str, Any]) -> None:
    checkpoint["state_dict"]["gaussians.means"].view(torch.int32)[0, 0] ^= 1


def one_moment(checkpoint: dict[str, Any]) -> None:
    checkpoint["optimizer_states"][0]["state"][3]["exp_avg_sq"].view(torch.int32).view(-1)[0] ^= 1


def test_an_equal_run_is_equal(copy: Path, reference: Path) -> None:
    assert difference(reference, copy) is None
    assert kills.left_behind(copy, STEPS) == []
    assert kept(copy) == (STEPS, [])
    assert disk.half_a_file(copy) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: change_checkpoint(run, one_bit),
        lambda run: change_checkpoint(run, one_moment),
        lambda run: change_checkpoint(run, lambda checkpoint: checkpoint.update(global_step=STEPS - 1)),
        lambda run: (run / "checkpoints/last.ckpt").unlink(),
        lambda run: (run / "checkpoints/last.ckpt").write_bytes(b"half"),
        lambda run: (run / "metrics.json").write_text(json.dumps({"psnr": 1.0})),
        lambda run: (run / "report.html").unlink(),
        lambda run: next(run.rglob("*.png")).write_bytes(b""),
        lambda run: (run / "history.csv").write_text("step\n"),
        lambda run: (run / "checkpoints/.last.left.ckpt").touch(),
        lambda run: (run / ".report.left.html").touch(),
    ],
)  # fmt: skip
def test_a_difference_is_seen(spoil: Callable[[Path], object], copy: Path, reference: Path) -> None:
    spoil(copy)
    assert difference(reference, copy)


def test_leftovers_of_kills_are_detected(copy: Path) -> None:
    last = copy / "checkpoints/last.ckpt"
    (copy / "checkpoints/previous.ckpt").unlink()
    change_checkpoint(copy, lambda checkpoint: checkpoint.update(global_step=100))
    assert kills.left_behind(copy, 100) == [
        f"step {(STEPS - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY} should be saved, and the newest is 100"
    ]
    assert "step 107 was saved, and now the newest is 100" in kills.left_behind(copy, 107)
    last.write_bytes(last.read_bytes()[:-100])  # what a writer leaves that is not atomic
    assert any("last.ckpt is damaged" in what for what in kills.left_behind(copy, 0))


def ended(run: Path, said: str) -> Any:
    return SimpleNamespace(folder=run, said=said)


def test_bad_ends_of_signalled_runs_are_detected(copy: Path) -> None:
    how = "resume with the same command"
    judge, term = signals.tidy, signal.SIGTERM
    assert judge(ended(copy, how), 143, term, STEPS) is None
    assert "status 0" in str(judge(ended(copy, how), 0, term, STEPS))
    assert "traceback" in str(judge(ended(copy, f"Traceback\n{how}"), 143, term, STEPS))
    assert "how to go on" in str(judge(ended(copy, ""), 143, term, STEPS))
    assert f"kept step {STEPS}, not 20" in str(judge(ended(copy, how), 143, term, 20))


def test_bad_ends_of_runs_on_a_full_disk_are_detected(copy: Path) -> None:
    line = f"error: cannot write {copy}: No space left on device\n"
    assert disk.clean_end(ended(copy, line), 1, STEPS) is None
    for said, status in (
        (line, 0),
        (line, -9),
        ("", 1),
        ("error: no\n", 1),
        (line + line, 1),
        (f"Traceback\n{line}", 1),
    ):
        assert disk.clean_end(ended(copy, said), status, STEPS)
    assert f"kept step {STEPS}" in str(disk.clean_end(ended(copy, line), 1, STEPS + 1))
    (copy / ".views.left.csv").touch()
    assert "temporary" in str(disk.clean_end(ended(copy, line), 1, STEPS))


def test_half_a_picture_is_seen(copy: Path) -> None:
    picture = next(copy.rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    assert "not whole" in str(disk.half_a_file(copy))


def test_non_finite_values_are_detected(copy: Path) -> None:
    assert numbers.not_finite(ended(copy, "")) is None
    change_checkpoint(
        copy, lambda checkpoint: checkpoint["state_dict"]["gaussians.sh_dc"].view(-1)[:1].fill_(torch.inf)
    )
    assert "gaussians.sh_dc" in str(numbers.not_finite(ended(copy, "")))


def test_steps_to_resume_at_surround_the_events() -> None:
    clock = schedule()
    steps = resumes.chosen(clock, 100, resumes.Random(0))
    assert len(steps) == 100
    for first in (*clock.starts[1:], clock.ms_steps + 1, 45, 105, 150, STEPS):
        assert first in steps and first - 1 in steps
    assert clock.densifies(20) and {19, 20} <= set(steps) and clock.resets_opacity(45)


def rows(**changes: Callable[[int], float]) -> list[long_load.Row]:
    usual: dict[str, Callable[[int], float]] = {
        "step": lambda i: 250.0 * i,
        "resident_mb": lambda i: 700 + 0.5 * (i % 2),
        "handles": lambda i: 11,
        "threads": lambda i: 1,
        "step_ms": lambda i: 7 + 3 * (i % 4),  # other work on the machine
        "gaussians": lambda i: 300,
    }
    return [{key: value(i) for key, value in (usual | changes).items()} for i in range(1, 33)]


def test_a_long_load_that_grows_is_seen() -> None:
    assert long_load.judged(rows()) == []
    assert "memory grew" in long_load.judged(rows(resident_mb=lambda i: 700 + 0.2 * i))[0]
    assert "handles grew from 11 to 13" in long_load.judged(rows(handles=lambda i: 11 + i // 16))[0]
    assert "threads grew" in long_load.judged(rows(threads=lambda i: i))[0]
    assert "times the time" in long_load.judged(rows(step_ms=lambda i: 7 + 0.1 * i))[0]
    more = rows(step_ms=lambda i: 7 + 0.1 * i, gaussians=lambda i: 300 + 5 * i)  # more of them explain it
    assert long_load.judged(more) == []
    assert "<svg" in long_load.drawn(rows())
