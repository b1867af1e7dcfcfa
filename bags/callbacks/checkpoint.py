"""Checkpoints: now and then, at chosen steps, at the end, and when somebody asks the run to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from lightning import Callback, Trainer

from bags.modules.bags_module import BagsModule

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Checkpoint(Callback):
    """Writes ``last.ckpt`` and ``step_N.ckpt`` into the run's ``checkpoints`` folder.

    A first Ctrl-C (or SIGTERM) lets the step finish, writes ``last.ckpt`` and stops; a second one stops at once.

    Attributes:
        stopped: did a signal end the run early?
    """

    def __init__(self) -> None:
        self.stopped = False
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Listen to signals."""
        for number in SIGNALS:
            try:
                self._handlers[number] = signal.signal(number, self._ask_to_stop)
            except ValueError:  # not the main thread: whoever runs us there handles its signals
                return

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: BagsModule, *args: Any) -> None:  # type: ignore[override]
        """Write what is due."""
        assert pl_module.output is not None
        step, output = pl_module.output.phase.step, pl_module.settings.output
        folder, every = pl_module.settings.folder / "checkpoints", output.checkpoint_every
        if step in output.checkpoint_steps:
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
