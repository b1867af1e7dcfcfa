"""Creates the Lightning trainer of a run."""

from __future__ import annotations

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments import LightningEnvironment

from bags.callbacks.base import RunCallback
from bags.config.nodes import instantiate
from bags.run.checkpoint_io import AtomicCheckpointIO
from bags.run.distributed import SceneDDP
from bags.run.start import Start
from bags.settings import TrainerSettings


def make_trainer(start: Start) -> Trainer:
    """A trainer whose length is the schedule's and whose checkpoints are atomic and safe to load."""
    settings, device = start.settings, start.device
    callbacks = [
        callback
        for callback in instantiate("callbacks", settings.callbacks)
        if not isinstance(callback, RunCallback) or callback.strategy in (None, settings.densify.strategy)
    ]
    for callback in callbacks:
        if isinstance(callback, RunCallback):
            callback.configure(settings)
    return Trainer(
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=settings.trainer.devices,
        strategy=strategy(settings.trainer, device),
        accumulate_grad_batches=settings.trainer.views // settings.trainer.devices,
        max_epochs=1,
        callbacks=callbacks,
        logger=instantiate("logger", settings.logger) or False,
        # Set explicitly, because in a Slurm job Lightning would otherwise requeue the job itself: docs/clusters.md.
        plugins=[AtomicCheckpointIO(start.saved), LightningEnvironment()],
        default_root_dir=start.folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def strategy(settings: TrainerSettings, device: torch.device) -> SceneDDP | str:
    """The strategy for several processes; Lightning's default for one."""
    if settings.devices == 1:
        return "auto"
    return SceneDDP("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", settings.threads)
