"""Hooks around whole optimiser steps."""

from __future__ import annotations

from typing import Any

from lightning import Callback, Trainer

from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.settings import Settings
from bags.types import ViewBatch


class RunCallback(Callback):
    """A callback that is configured by the run's settings.

    Attributes:
        strategy: the ``densify.strategy`` that it belongs to, without which it is left out; None: any.
    """

    strategy: str | None = None

    def configure(self, settings: Settings) -> None:
        """Take what this callback needs; called once, when the trainer is created."""


class StepCallback(RunCallback):
    """A callback of whole steps, each of which may take several batches (``trainer.views_per_step``).

    Attributes:
        first_rank_only: in distributed training call ``after_step`` only on the first process, which does all writing
            and displaying.
        halted: why this callback has ended the run; reported once the last step is saved.
    """

    first_rank_only = False
    halted: str | None = None

    def halt(self, trainer: Trainer, why: str) -> None:
        """End the run after this step, with a checkpoint; must be called on every process or on none."""
        self.halted = why
        trainer.should_stop = True

    def before_step(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Called before the first batch of 1-based ``step``."""

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Called after the optimiser step; ``output`` is that of the step's last view on this process."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: BagsModule, batch: ViewBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Call ``before_step`` before the first batch of a step."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.before_step(trainer, pl_module, batch.step)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: BagsModule, outputs: Any, batch: ViewBatch, batch_idx: int
    ) -> None:
        """Call ``after_step`` after the last batch of a step."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and not (
            self.first_rank_only and not trainer.is_global_zero
        ):
            assert pl_module.output is not None
            self.after_step(trainer, pl_module, pl_module.output)
