"""How many jobs run at once, and the processes that they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bags.settings import Settings, TrainerSettings
from bags.sweeps import capacity
from bags.sweeps.processes import run_all
from bags.sweeps.slurm import Command
from tests.waiting import until


def test_as_many_as_cores_and_memory_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "available_cores", lambda: 8)
    monkeypatch.setattr(capacity, "available_memory_gb", lambda: 64.0)
    cpu = Settings(trainer=TrainerSettings(accelerator="cpu"))
    for cores, memory, limit, count in (
        (2, 4.0, None, 4),
        (3, 4.0, None, 2),
        (2, 20.0, None, 3),
        (2, 4.0, 1, 1),
        (64, 4.0, None, 1),
        (2, 900.0, None, 1),
    ):
        assert len(capacity.places(cpu, cores, memory, limit)) == count, (cores, memory, limit)


@pytest.mark.parametrize(("each", "seen"), [(1, ["4", "5", "7"]), (2, ["4,5"])])
def test_every_job_sees_its_own_devices(each: int, seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "choose_device", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(capacity, "available_memory_gb", lambda: 64.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    found = capacity.places(Settings(trainer=TrainerSettings(devices=each)), 2, 4.0)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in found] == seen


def test_this_machine_has_something() -> None:
    assert capacity.available_cores() >= 1 and capacity.available_memory_gb() > 0.01


def test_commands_take_free_places(tmp_path: Path) -> None:
    codes = [f"import os, sys; print(os.environ['PLACE']); sys.exit({i})" for i in range(4)]
    commands = [([sys.executable, "-c", code], tmp_path / f"{i}.log") for i, code in enumerate(codes)]
    assert sorted(run_all(commands, [{"PLACE": "left"}, {"PLACE": "right"}])) == [(i, i) for i in range(4)]
    said = [(tmp_path / f"{i}.log").read_text().strip() for i in range(4)]
    assert said[:2] == ["left", "right"] and set(said[2:]) <= {"left", "right"}


STUBBORN = (
    "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(143)))\n"
)
STUBBORN += "print('ready', flush=True)\ntime.sleep(60)"


def hears(process: int, number: int) -> bool:
    """Does a process handle a signal?"""
    caught = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(caught.split()[1], 16) >> number - 1 & 1)


def test_a_job_asked_to_stop_has_no_result(tmp_path: Path) -> None:
    """Else submitit would take it for finished, while Slurm starts it again."""
    code = "import sys; from bags.sweeps.slurm import Command\n"
    code += f"Command([sys.executable, '-c', {STUBBORN!r}])(); print('result')"
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    ) as job:
        assert job.stdout is not None and job.stdout.readline() == "ready\n"
        until(lambda: hears(job.pid, signal.SIGTERM))
        job.send_signal(signal.SIGTERM)
        assert job.stdout.read() == "saved\n"
    assert job.returncode == 143


def test_at_the_time_limit_the_job_saves_and_is_the_same_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = Command([sys.executable, "-c", STUBBORN])
    with open(log, "w") as file:
        command._process = subprocess.Popen(command.command, stdout=file)
    until(lambda: "ready" in log.read_text())
    again = command.checkpoint()
    assert "saved" in log.read_text() and again.function.command == command.command
    command._process.returncode = 143  # it was waited for behind Popen's back
