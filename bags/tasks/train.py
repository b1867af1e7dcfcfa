"""``task=train``: learn a scene, then judge it and show it."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments import LightningEnvironment

from bags.callbacks import Checkpoint, LiveViewer
from bags.config import instantiate
from bags.dashboards import close, log_settings
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.modules.bags_module import BagsModule
from bags.run_folder import begin, checkpoint, finished, owned
from bags.settings import Settings, TrainerSettings
from bags.tasks.checkpoint_io import AtomicCheckpointIO
from bags.tasks.device import choose_device
from bags.tasks.distributed import SceneDDP
from bags.tasks.results import finish
from bags.tasks.setup import build, is_first_process

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Train ``settings``; at the end write metrics and pictures and print the table.

    Raises:
        SystemExit: a signal stopped the training; with 128 + its number, as shells have it.
    """
    if settings.ckpt_path == "auto" and finished(settings):
        print(f"{settings.name} is finished", file=sys.stderr)
        return
    resumed = checkpoint(settings)
    datamodule, module = build(settings)
    if not is_first_process():
        learn(settings, datamodule, module, resumed)
        return
    with owned(settings):
        if aside := begin(settings):
            log.info("the earlier run of this name is now %s", aside)
        if resumed:
            log.info("going on from %s", resumed)
        learn(settings, datamodule, module, resumed)


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
        stopper = next((c for c in trainer.callbacks if isinstance(c, Checkpoint)), None)  # type: ignore[attr-defined]
        if stopper is not None and stopper.stopped:
            log.info("stopped at step %d; go on with the same command and ckpt_path=last", trainer.global_step)
        elif trainer.is_global_zero:
            finish(settings, datamodule, module, trainer)
        status = "success"
    finally:
        close(trainer.loggers, status)
        if viewer is not None:
            whole = status == "success" and trainer.global_step == module.schedule.total
            viewer.end(stay=whole and settings.viewer.keep)
    if stopper is not None and stopper.stopped:
        sys.exit(128 + stopper.signal)


def make_trainer(settings: Settings) -> Trainer:
    """A trainer whose length is the schedule's and whose checkpoints are atomic and safe to load."""
    device = choose_device(settings)
    return Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu"}[device.type],
        devices=settings.trainer.devices,
        strategy=strategy(settings.trainer, device),
        accumulate_grad_batches=settings.trainer.views // settings.trainer.devices,
        max_epochs=1,
        callbacks=instantiate(settings.callbacks),
        logger=instantiate(settings.logger) or False,
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
