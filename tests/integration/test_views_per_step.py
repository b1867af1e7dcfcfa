"""Several views per step: in one process by accumulation, in several by averaging; the same numbers either way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from tests.integration.test_training import TINY, assert_same, assert_same_state, run, settings_of, state_of
from tests.waiting import HANG

ROOT = Path(__file__).parents[2]


class At(Callback):
    """Something that happens to one process before a step."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank, self.step = rank, step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_rank == self.rank and batch.step == self.step:
            self.happen()

    def happen(self) -> None:
        raise RuntimeError(f"process {self.rank} fails")


class SignalAt(At):
    def happen(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def command(root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """``run.py``, to the end of all its processes."""
    words = [sys.executable, "run.py", *TINY, f"output_root={root}", "trainer.threads=1", *overrides]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=HANG)  # ends when every process has let go of the pipe
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(words, process.returncode, output)


def callback(kind: type, rank: int, step: int) -> list[str]:
    target = f"+callbacks.at._target_={kind.__module__}.{kind.__name__}"
    return [target, f"+callbacks.at.rank={rank}", f"+callbacks.at.step={step}"]


@pytest.fixture(scope="module")
def accumulated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two views per step in one process. Also fills the cache of compiled kernels."""
    settings = settings_of(tmp_path_factory.mktemp("accumulated"), "trainer.views_per_step=2", "trainer.threads=1")
    run(settings)
    return settings


def test_resume_is_exact(accumulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, "trainer.views_per_step=2")
    run(settings, 17, monkeypatch)
    assert state_of(settings)["global_step"] == 17
    run(settings_of(tmp_path, "trainer.views_per_step=2", "ckpt_path=last"))
    assert_same_state(settings.folder, accumulated.folder)


def test_two_processes_do_what_one_does(accumulated: Any, tmp_path: Path) -> None:
    """Also: a signal to one process stops both after the same step, and both go on from there.

    Both sides load their compiled kernels from the cache: code compiled in the process itself rounds differently here
    and there. Halves and sums of two numbers are exact, so the two agree to the last bit.
    """
    corrected = "model.exposure=gain"  # whose mean over the photos is kept at zero
    assert command(tmp_path / "one", "trainer.views_per_step=2", corrected).returncode == 0
    two = str(tmp_path / "two"), "trainer=ddp", corrected
    stopped = command(*two, *callback(SignalAt, rank=1, step=17))
    assert stopped.returncode == 128 + signal.SIGTERM and "stopped at step 17" in stopped.stdout, stopped.stdout
    resumed = command(*two, "ckpt_path=last")
    assert resumed.returncode == 0, resumed.stdout
    assert resumed.stdout.count("results in") == 1  # one process speaks
    folders = [tmp_path / name / accumulated.name for name in ("one", "two")]
    assert_same_state(*folders)
    learned = torch.load(folders[0] / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert len(learned["gaussians.means"]) > 1000 and learned["corrections.numbers"].any()  # 200 and none at the start
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    for key in ("per_view", "train_views", "num_gaussians", "steps"):
        assert_same(scores[0][key], scores[1][key], key)


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_process_ends_all(rank: int, tmp_path: Path) -> None:
    failed = command(tmp_path, "trainer=ddp", *callback(At, rank, step=2))
    assert failed.returncode != 0
    assert f"process {rank} fails" in failed.stdout
    assert not list(tmp_path.rglob("metrics.json"))
