"""``task=train``: learn a scene, then judge it and show it."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments import LightningEnvironment

from bags.callbacks import Checkpoint, LiveViewer
from bags.callbacks.base import StepCallback
from bags.config import instantiate
from bags.dashboards import close, log_settings
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.errors import BagsError
from bags.io.atomic import WriteError, explained
from bags.modules.bags_module import BagsModule
from bags.run_folder import begin, finished, owned
from bags.settings import Settings, TrainerSettings
from bags.stopping import Stopped, heard_by, stop
from bags.tasks.checkpoint_io import AtomicCheckpointIO
from bags.tasks.checkpoints import checkpoint, take_place, written
from bags.tasks.device import choose_device
from bags.tasks.distributed import SceneDDP
from bags.tasks.forecast import check
from bags.tasks.results import finish
from bags.tasks.setup import build, is_first_process, load_weights

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Train ``settings``; at the end write metrics and pictures and print the table.

    Raises:
        Stopped: by a signal, at any moment; a ``SystemExit`` with 128 + its number, as shells have it.
        BagsError: the disk did not take a file; what was saved before is there.
    """
    with heard_by(stop):
        seen = written(settings)
        start = ready(settings)  # before the lock, so that what cannot be is told before anything is touched
        if start is None:
            return
        if not is_first_process():
            learn(settings, *start)
            return
        with owned(settings):
            if written(settings) != seen:  # another process has trained here meanwhile
                start = None  # two scenes at once may be more than the memory holds
                start = ready(settings)
            if start:
                lead(settings, *start)


def ready(settings: Settings) -> tuple[SceneDataModule, BagsModule, Path | None] | None:
    """The scene, what learns it, and the checkpoint to go on from; None where the run is finished. Writes nothing."""
    if settings.ckpt_path == "auto" and finished(settings):
        print(f"{settings.name} is finished", file=sys.stderr)
        return None
    with telling("nothing was written; the same command begins again"):
        resumed = checkpoint(settings)
        datamodule, module = build(settings)
        if resumed:
            load_weights(module, resumed)
        return datamodule, module, resumed


def lead(settings: Settings, datamodule: SceneDataModule, module: BagsModule, resumed: Path | None) -> None:
    """Train as the first or only process, which owns the run's folder."""
    with telling("go on with the same command and ckpt_path=auto"), explained(settings.folder):
        if aside := begin(settings):
            log.info("the earlier run of this name is now %s", aside)
        if resumed and settings.ckpt_path in ("auto", "last"):
            resumed = take_place(resumed)
        check(settings, datamodule, module, choose_device(settings))
        if resumed:
            log.info("going on from %s", resumed)
        learn(settings, datamodule, module, resumed)


@contextmanager
def telling(what_to_do: str) -> Iterator[None]:
    """Says ``what_to_do`` when a signal or a full disk ends the block."""
    try:
        yield
    except (Stopped, WriteError) as reason:
        why = reason.signal.name if isinstance(reason, Stopped) else "the disk"
        print(f"stopped by {why}: {what_to_do}", file=sys.stderr)
        raise


def learn(settings: Settings, datamodule: SceneDataModule, module: BagsModule, resumed: Path | None) -> None:
    """Fit and judge, from the start or from the checkpoint ``resumed``."""
    trainer = make_trainer(settings)
    status = "failed"
    viewer = next((c for c in trainer.callbacks if isinstance(c, LiveViewer)), None)  # type: ignore[attr-defined]
    try:
        log_settings(trainer.loggers, settings)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            trainer.fit(module, datamodule=datamodule, ckpt_path=str(resumed) if resumed else None, weights_only=True)
        why = next((c.halted for c in trainer.callbacks if isinstance(c, StepCallback) and c.halted), None)  # type: ignore[attr-defined]
        stopper = next((c for c in trainer.callbacks if isinstance(c, Checkpoint)), None)  # type: ignore[attr-defined]
        if stopper is not None and stopper.stopped:
            log.info("stopped at step %d", trainer.global_step)
        elif why:
            raise BagsError(f"stopped at step {trainer.global_step}: {why}; ckpt_path=auto goes on from there")
        elif trainer.is_global_zero:
            finish(settings, datamodule, module, trainer)
        status = "success"
    finally:
        close(trainer.loggers, status)
        if viewer is not None:
            whole = status == "success" and trainer.global_step == module.schedule.total
            viewer.end(stay=whole and settings.viewer.keep)
    if stopper is not None and stopper.stopped:
        raise Stopped(stopper.signal)


def make_trainer(settings: Settings) -> Trainer:
    """A trainer whose length is the schedule's and whose checkpoints are atomic and safe to load."""
    device = choose_device(settings)
    return Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu"}[device.type],
        devices=settings.trainer.devices,
        strategy=strategy(settings.trainer, device),
        accumulate_grad_batches=settings.trainer.views // settings.trainer.devices,
        max_epochs=1,
        callbacks=instantiate("callbacks", settings.callbacks),
        logger=instantiate("logger", settings.logger) or False,
        # Lightning's own environment also in a Slurm job, where it would start to requeue: docs/clusters.md.
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
        default_root_dir=settings.folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def strategy(settings: TrainerSettings, device: torch.device) -> SceneDDP | str:
    """How several processes work together; Lightning's own choice for one."""
    if settings.devices == 1:
        return "auto"
    return SceneDDP("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", settings.threads)
