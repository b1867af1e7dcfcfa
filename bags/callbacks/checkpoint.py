"""Checkpoints: now and then, at chosen steps, at the end, and when somebody asks the run to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.ranks import anywhere

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Checkpoint(StepCallback):
    """Writes ``last.ckpt`` and ``step_N.ckpt`` into the run's ``checkpoints`` folder.

    A first Ctrl-C (or SIGTERM) lets the step finish, writes ``last.ckpt`` and stops; a second Ctrl-C stops at once. A
    signal to one of several processes stops all of them after the same step.

    Attributes:
        stopped: did a signal end the run early?
        signal: which one, where this process had it.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.signal = signal.SIGTERM
        self._asked = False
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Listen to signals."""
        for number in SIGNALS:
            try:
                self._handlers[number] = signal.signal(number, self._ask_to_stop)
            except ValueError:  # not the main thread: whoever runs us there handles its signals
                return

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if not self._asked:  # not ``stopped``: another process may have had the same Ctrl-C a moment earlier
            self._asked = self.stopped = True
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:  # whereas a SIGTERM may well come twice: a scheduler's, and its launcher's
            raise KeyboardInterrupt

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Write what is due."""
        self.stopped = anywhere(self.stopped)
        step, settings = output.phase.step, pl_module.settings
        folder, every = settings.folder / "checkpoints", settings.output.checkpoint_every
        if step in settings.output.checkpoint_steps:
            trainer.save_checkpoint(folder / f"step_{step}.ckpt")
        if self.stopped or step == pl_module.schedule.total or (every and step % every == 0):
            trainer.save_checkpoint(folder / "last.ckpt")
        if self.stopped:
            trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: BagsModule, stage: str) -> None:  # type: ignore[override]
        """Stop listening."""
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)
