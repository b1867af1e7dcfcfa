"""Trainings in processes of their own, which can be killed; and what two of them ended with.

The processes are forks of a server that has imported everything and computed nothing (``multiprocessing``'s), so that
one starts in a tenth of a second. Each runs the program's own command line, and is as mortal as any other process.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning import Callback

from bags.cli import config_folder, main
from bags.config.nodes import register, to_settings
from bags.schedule import ScaleSchedule
from bags.tasks import train
from tests.integration.test_training import assert_same
from tests.surroundings import settle

WAIT = 3600  # seconds for any one run
STEPS, CHECKPOINT_EVERY = 200, 7
RUN = (
    "name=run", "ckpt_path=auto", "dataset.synthetic.width=48", "dataset.synthetic.height=32",
    "dataset.synthetic.train_views=6", "dataset.synthetic.test_views=2", "dataset.synthetic.points=200",
    "dataset.synthetic.samples=8", "model.gaussians.max_count=400", "model.bpn.kernels=[3,3,5]", "model.bpn.hidden=16",
    "model.bpn.embedding=8", "model.bpn.rgbd_channels=8", f"schedule.steps={STEPS}",
    "schedule.shortest_densify_every=10", "schedule.shortest_densify_from=10", "schedule.shortest_recovery=20",
    "schedule.shortest_opacity_reset_every=45", "densify.gradient=1e-5", "densify.init_gradient=1e-5",
    "densify.min_opacity=0.01", "metrics.lpips=false", "output.images_every=50",
    f"output.checkpoint_every={CHECKPOINT_EVERY}", "trainer.threads=1", "trainer.progress=false",
    "trainer.accelerator=cpu",
)  # fmt: skip
MEASURED = {"train_seconds", "peak_memory_mb"}  # in metrics.json: never twice the same

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.faults.runs", "torchmetrics", "bags.report"])


class Run:
    """A training that goes on in a process of its own.

    Args:
        folder: the run's folder is ``folder/run``.
        overrides: settings beside ``RUN``.
        injected: callbacks that make trouble, called before all others.
        log: gets what it says; by default beside ``folder``.
    """

    def __init__(
        self, folder: Path, *overrides: str, injected: Sequence[Callback] = (), log: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "run"
        self._log = log or folder.with_name(f"{folder.name}.said.txt")
        self._log.unlink(missing_ok=True)
        words = [*RUN, f"output_root={folder}", *overrides]
        self._process: ForkServerProcess = _processes.Process(target=_train, args=(words, self._log, injected))
        self._process.daemon = True  # goes with whoever started it
        self._process.start()

    @property
    def over(self) -> bool:
        """Has it ended?"""
        return self._process.exitcode is not None

    @property
    def said(self) -> str:
        """Standard output and error."""
        return self._log.read_text() if self._log.exists() else ""

    def send(self, number: int) -> None:
        """Send a signal; to one that is over: nothing."""
        if not self.over and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def wait(self) -> int:
        """Its exit status; that of a process that a signal ended is negative."""
        self._process.join(WAIT)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"a run did not end within {WAIT} s: {self.said[-2000:]}")
        return self._process.exitcode


def _train(words: list[str], log: Path, injected: Sequence[Callback]) -> None:
    """The process: as ``python run.py WORDS > LOG``, with ``injected`` called before the trainer's own callbacks."""
    settle()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["COLUMNS"] = "1000"  # lines as they were written
    make_trainer = train.make_trainer

    def with_trouble(*args: Any, **named: Any) -> Any:
        trainer = make_trainer(*args, **named)
        trainer.callbacks = [*injected, *trainer.callbacks]  # type: ignore[attr-defined]
        return trainer

    train.make_trainer = with_trouble
    sys.argv = ["run.py", *words]
    main()


def schedule() -> ScaleSchedule:
    """The clock of the runs."""
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return ScaleSchedule(to_settings(compose("config", overrides=list(RUN))).schedule)


def unbroken(folder: Path) -> Path:
    """The folder of a run that nothing troubles, made once below ``folder``."""
    run = folder / "unbroken" / "run"
    if not (run / "metrics.json").exists():
        status = (made := Run(folder / "unbroken")).wait()
        if status:
            raise RuntimeError(f"the run that nothing troubles ended with {status}: {made.said[-2000:]}")
    return run


def duration(folder: Path) -> float:
    """Seconds that such a run takes now."""
    shutil.rmtree(folder / "timed", ignore_errors=True)
    began = time.monotonic()
    Run(folder / "timed").wait()
    return time.monotonic() - began


def saved(run: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """A checkpoint of the run, read by torch alone."""
    return torch.load(run / "checkpoints" / name, weights_only=True)


def kept(run: Path) -> tuple[int, list[str]]:
    """The step that a run can go on from (0: none), and names of checkpoints that do not load."""
    step, damaged = 0, []
    for path in sorted((run / "checkpoints").glob("[!.]*.ckpt")):
        try:
            step = max(step, saved(run, path.name)["global_step"])
        except Exception as error:  # whatever torch says of a damaged file
            damaged.append(f"{path.name} is damaged: {str(error).splitlines()[0]}")
    return step, damaged


def difference(one: Path, other: Path) -> str | None:
    """What first differs between two runs' folders, bit for bit; None: nothing.

    Compared: the last checkpoint (parameters, Adam's state, every callback's but the clock's), metrics, tables, the
    point cloud, and all pictures. Not compared: time and memory, and the page that tells them.
    """
    try:
        for key in ("global_step", "state_dict", "optimizer_states"):
            assert_same(saved(one)[key], saved(other)[key], key)
        states = [{k: v for k, v in saved(run)["callbacks"].items() if k != "Stopwatch"} for run in (one, other)]
        assert_same(states[0], states[1], "callbacks")
        metrics = [json.loads((run / "metrics.json").read_text()) for run in (one, other)]
        judged = [{k: v for k, v in m.items() if k not in MEASURED} for m in metrics]
        assert_same(judged[0], judged[1], "metrics.json")
        files = results(one), results(other)
        assert not (odd := files[0].keys() ^ files[1].keys()), f"files of one only: {sorted(odd)}"
        assert_same(*files, "files")
    except (AssertionError, OSError, KeyError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def results(run: Path) -> dict[str, bytes | None]:
    """Every file of a finished run by name, and what is in those that have to be equal; temporary files, too."""
    files = {str(path.relative_to(run)): path for path in sorted(run.rglob("*")) if path.is_file()}
    equal = (".png", ".csv", ".ply")
    return {
        name: path.read_bytes() if path.suffix in equal else None
        for name, path in files.items()
        if path.parent.name != "checkpoints" or path.name.startswith(".")
    }
