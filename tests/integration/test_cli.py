"""The command line as people use it: sweeps, a finished run evaluated again, a signal in the middle."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig

from bags.cli import main
from tests.integration.test_training import TINY
from tests.waiting import HANG, until

RUN = [sys.executable, str(Path(__file__).parents[2] / "run.py")]


def bags(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *overrides], cwd=folder, capture_output=True, text=True)


def in_process(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, where torch has been loaded: for what needs no process of its own."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["bags", *overrides])
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            HydraConfig.instance().cfg = None
            logging.captureWarnings(False)
    return subprocess.CompletedProcess(overrides, status, out.getvalue(), err.getvalue())


def test_sweep_gives_every_job_its_folder_and_evaluate_needs_only_the_name(tmp_path: Path) -> None:
    sweep = bags(tmp_path, "-m", *TINY, "schedule.steps=6", "seed=1,2", "group=halves")
    assert sweep.returncode == 0, sweep.stderr
    folders = sorted(path.name for path in (tmp_path / "outputs").iterdir() if not path.name.startswith("."))
    assert folders == ["demo-seed1", "demo-seed2", "multirun.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    configs = [yaml.safe_load((tmp_path / "outputs" / name / "config.yaml").read_text()) for name in folders[:2]]
    assert [config["group"] for config in configs] == ["halves", "halves"]
    again = in_process(tmp_path, "task=evaluate", f"name={folders[0]}", "metrics=mip_splatting", "metrics.lpips=false")
    assert again.returncode == 0, again.stderr
    metrics = json.loads((tmp_path / "outputs" / folders[0] / "metrics.json").read_text())
    assert metrics["protocol"] == "mip_splatting" and metrics["steps"] == 6
    table = in_process(tmp_path, "task=summarize", "summarize.runs=[demo-*]")
    assert table.returncode == 0 and table.stderr == "", table.stderr
    assert {path.name for path in (tmp_path / "outputs/summary").iterdir()} == {
        "summary.md",
        "summary.csv",
        "summary.tex",
    }
    assert "2 seeds" in table.stdout and re.search(r"demo +│ +\d+\.\d\d ± \d+\.\d\d", table.stdout)


def test_evaluating_what_was_never_trained(tmp_path: Path) -> None:
    result = bags(tmp_path, "task=evaluate", "name=nothing")
    assert result.returncode == 1 and "outputs/nothing" in result.stderr and "Traceback" not in result.stderr


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [*RUN, *TINY, "schedule.steps=100000", "trainer.progress=false", "output.checkpoint_steps=[3]"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        until((tmp_path / "outputs/demo/checkpoints/step_3.ckpt").exists, alive=lambda: process.poll() is None)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=HANG)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert "resume with the same command and ckpt_path=auto" in " ".join(said.split()), said
    assert (tmp_path / "outputs/demo/checkpoints/last.ckpt").is_file()
    assert not (tmp_path / "outputs/demo/metrics.json").exists()


def test_data_errors_print_no_traceback(tmp_path: Path) -> None:
    result = bags(tmp_path, "scene=own", f"dataset.root={tmp_path}/nowhere")
    assert result.returncode == 1 and "nowhere" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "outputs").exists()
