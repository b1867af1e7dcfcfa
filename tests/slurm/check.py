"""``make slurm-check``: a sweep on a real Slurm; its jobs are requeued in the middle of training and finish.

Sets Slurm up on this machine (Debian, root), submits three tiny scenes through ``cluster=slurm``, takes one job off its
node with ``scontrol requeue``, as preemption does, and sends another the signal of a near time limit. Both have to
finish by themselves, resumed from their checkpoints; the sweep has to report three jobs done, and the same command
again none to do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.integration.test_training import TINY
from tests.slurm.one_node import install, slurm

ROOT = Path(__file__).parents[2]
STEPS = 1000
SEEDS = (1, 2, 3)
WAIT = 400  # seconds for anything


def until(what: str, condition) -> None:  # type: ignore[no-untyped-def]
    print(f"waiting: {what}", flush=True)
    for _ in range(WAIT * 5):
        if condition():
            return
        time.sleep(0.2)
    raise SystemExit(f"slurm-check FAILED: {what} did not happen within {WAIT} s")


def check(root: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "-m", *TINY, "cluster=slurm", f"seed={','.join(map(str, SEEDS))}"]
    command += [
        f"schedule.steps={STEPS}",
        "output.checkpoint_every=100",
        "output.images_every=null",
        "trainer.threads=1",
    ]
    command += ["hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=null", "hydra.launcher.timeout_min=30"]
    runs = [root / f"outputs/demo-seed{seed}" for seed in SEEDS]
    with slurm(root) as environment:

        def call(*words: str) -> str:
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
            print(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}", end="", flush=True)
            return done.stdout

        def saved(run: Path) -> bool:
            return (run / "checkpoints/last.ckpt").exists() and not (run / "metrics.json").exists()

        sweep = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL)  # submitit misses sacct
        try:
            until("the first two trainings have saved a checkpoint", lambda: saved(runs[0]) and saved(runs[1]))
            jobs = call("squeue", "--array", "--noheader", "--format=%A_%a %i %T").split("\n")
            array = next(line.split()[1] for line in jobs if "RUNNING" in line).split("_")[0]
            call("scontrol", "requeue", f"{array}_0")
            call("scancel", "--signal=USR2", f"{array}_1")
            call("squeue", "--array")
            sweep.wait(timeout=3 * WAIT)
        finally:
            sweep.kill()
        again = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    report(root, runs, sweep.returncode, again)


def report(root: Path, runs: list[Path], status: int, again: subprocess.CompletedProcess[str]) -> None:
    """Print the jobs' logs, in short, and what is wrong."""
    stopped, wrong = {}, []
    for i, run in enumerate(runs):
        text = "".join(path.read_text() for path in sorted((root / "outputs/slurm").glob(f"*_{i}_0_log.*")))
        stopped[i] = [int(step) for step in re.findall(r"stopped at step (\d+)", text)]
        print(f"--- job {i}, {run.name}")
        print("\n".join(line for line in text.splitlines() if re.search(r"submitit|stopped|steps in|going on", line)))
        if not (run / "metrics.json").exists() or json.loads((run / "metrics.json").read_text())["steps"] != STEPS:
            wrong.append(f"{run.name} is not finished")
        if i < 2 and (not stopped[i] or "resuming from" not in text):
            wrong.append(f"{run.name} was not stopped in the middle and resumed")
    folders = sorted(path.name for path in (root / "outputs").glob("demo*"))
    print(f"stopped at steps {stopped}; folders {folders}; the sweep's exit status {status}\nagain: {again.stderr}")
    wrong += ["a run began anew instead of going on"] * (folders != [run.name for run in runs])
    wrong += [f"the sweep ended with {status}"] * (status != 0)
    wrong += ["the same command again found something to do"] * (again.stderr.count("is finished") != len(runs))
    if wrong:
        raise SystemExit(f"slurm-check FAILED: {'; '.join(wrong)} (files: {root})")
    print("slurm-check passed: three jobs finished, two of them resumed after they were requeued")


if __name__ == "__main__":
    install()
    check(Path(tempfile.mkdtemp(prefix="bags-slurm-")))
