"""Checkpoints: at regular intervals, at chosen steps, at the end, and when the run is asked to stop."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.ranks import anywhere
from bags.settings import Settings
from bags.system.signals import heard_by, stop


class Checkpoint(StepCallback):
    """Writes ``last.ckpt`` and ``step_N.ckpt`` into the run's ``checkpoints`` folder.

    After a first Ctrl-C (or SIGTERM, or SIGUSR1) the step is finished, ``last.ckpt`` is written and the run stops; a
    second Ctrl-C stops it at once. A signal to one of several processes stops all of them after the same step. Another
    callback that sets ``trainer.should_stop`` has the same effect.

    Attributes:
        stopped: whether a signal ended the run early.
        signal: the signal, if this process received it.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.signal = signal.SIGTERM
        self._asked = False
        self._listening = ExitStack()

    def configure(self, settings: Settings) -> None:
        """Where checkpoints go, and when."""
        self._folder, self._output = settings.folder / "checkpoints", settings.output

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Listen to signals."""
        self._listening.enter_context(heard_by(self._ask_to_stop))

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if not self._asked:  # not ``stopped``: another process may have received the same Ctrl-C a moment earlier
            self._asked = self.stopped = True
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:  # but a SIGTERM may arrive twice, from a scheduler and from its launcher
            stop(number, frame)

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Write what is due."""
        self.stopped = anywhere(self.stopped)
        if self.stopped:
            trainer.should_stop = True
        step, every = output.phase.step, self._output.checkpoint_every
        if step in self._output.checkpoint_steps:
            trainer.save_checkpoint(self._folder / f"step_{step}.ckpt")
        if trainer.should_stop or step == pl_module.schedule.total or (every and step % every == 0):
            trainer.save_checkpoint(self._folder / "last.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Stop listening: after training, a signal ends the process at once."""
        self._listening.close()

    def on_exception(self, trainer: Trainer, pl_module: BagsModule, exception: BaseException) -> None:  # type: ignore[override]
        """Stop listening."""
        self._listening.close()
