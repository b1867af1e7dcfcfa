"""Sweeps on tiny scenes: killed midway and started again, a broken job among others, a changed configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.pause import pause
from tests.integration.test_training import TINY
from tests.waiting import HANG, until

ROOT = Path(__file__).parents[2]
SCENES = ("demo", "dim", "deep")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two more scenes, in a folder of one's own as docs/datasets.md has it."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "scene").mkdir()
    for i, name in enumerate(SCENES[1:]):
        text = f"# @package _global_\nscene: {name}\ndataset:\n  synthetic:\n    seed: {i}\n"
        (folder / "scene" / f"{name}.yaml").write_text(text)
    return str(folder)


def sweep(conf: str, *overrides: str) -> list[str]:
    words = ["-m", "--config-dir", conf, *TINY, "trainer.threads=1", "output.images_every=null", *overrides]
    return [sys.executable, str(ROOT / "run.py"), *words]


def written(root: Path) -> dict[str, int]:
    """When each finished run was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in root.glob("outputs/*/metrics.json")}


# Two jobs at a time end together: the one to catch is the third, which begins when one of them has ended.
@pytest.mark.parametrize(("cluster", "caught"), [("none", "dim-seed1"), ("local", "deep-seed1")])
def test_killed_midway_and_started_again(cluster: str, caught: str, scenes: str, tmp_path: Path) -> None:
    """Nothing finished is repeated; what was under way goes on, also where its process was killed."""
    names, here = {f"{scene}-seed1" for scene in SCENES}, tmp_path / "here"
    command = sweep(scenes, f"cluster={cluster}", f"scene={','.join(SCENES)}", "seed=1", *pause(caught, 13, here))
    command += ["schedule.steps=20", "output.checkpoint_every=5"]
    if cluster == "local":
        command += ["hydra.launcher.cores=1", "hydra.launcher.memory_gb=0.5", "hydra.launcher.jobs=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(here.exists, alive=lambda: first.poll() is None)
        os.kill(first.pid, signal.SIGTERM if cluster == "local" else signal.SIGKILL)
        first.wait(timeout=HANG)
    finally:
        first.kill()
    before = written(tmp_path)
    assert before and caught not in before
    assert (tmp_path / "outputs" / caught / "checkpoints/last.ckpt").exists()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    done = f"sweep: {len(names)} of {len(names)} jobs done"
    assert again.returncode == 0 and done in again.stderr, again.stderr
    logs = again.stderr + "".join(path.read_text() for path in tmp_path.glob("outputs/sweep_logs/*.log"))
    assert "resuming from" in logs
    after = written(tmp_path)
    assert set(after) == names and before.items() <= after.items()
    assert again.stderr.count("is finished") == len(before)
    folders = {path.name for path in (tmp_path / "outputs").iterdir() if path.is_dir()} - {"sweep_logs"}
    assert folders == names  # nothing was set aside: the run under way went on


def test_a_broken_scene_does_not_stop_the_others(scenes: str, tmp_path: Path) -> None:
    """Three ways to fail: settings that cannot be, data that are not there, an error that nobody foresaw."""
    odd = tmp_path / "conf" / "scene"
    odd.mkdir(parents=True)
    mistakes = {
        "cannot": "loss:\n  ssim: 7.0",
        "gone": "dataset:\n  parser: colmap\n  root: /nowhere",
        "odd": "callbacks:\n  checkpoint:\n    _target_: bags.callbacks.Checkpoint\n    no_such: argument",
        "demo": "seed: 0",
    }
    for name, line in mistakes.items():
        (odd / f"{name}.yaml").write_text(f"# @package _global_\nscene: {name}\n{line}\n")
    command = sweep(str(odd.parent), "schedule.steps=6", "scene=cannot,gone,odd,demo")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "failed: cannot-seed0, gone-seed0, odd-seed0;" in result.stderr
    assert "sweep: 1 of 4 jobs done" in result.stderr
    assert json.loads((tmp_path / "outputs/demo-seed0/metrics.json").read_text())["steps"] == 6
