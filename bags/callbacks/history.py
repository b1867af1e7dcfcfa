"""Training history: a small table of loss, PSNR and Gaussians over the steps, for the report."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from bags.callbacks.base import StepCallback
from bags.io.records import write_table
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.psnr import square_error
from bags.settings import Settings

ROWS = 300  # at most, for any length of the run
EVERY = 10  # steps between two rows, or a multiple of it


class History(StepCallback):
    """Maintains ``history.csv`` in the run's folder, with one row of means for every few steps.

    Between two rows the sums stay on the device, so that most steps do not wait for it. The table is saved in the
    checkpoint: a resumed run continues with the rows up to that step.

    Attributes:
        rows: ``step``, ``loss`` (all terms), ``psnr`` (of the mean squared error of the prediction, dB), ``gaussians``
            and ``divisor`` of the training resolution.
    """

    first_rank_only = True

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._sums: Tensor | None = None  # loss, squared error, steps

    def configure(self, settings: Settings) -> None:
        """Where the table goes."""
        self._folder = settings.folder

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Add this step; write the row where it is due."""
        loss = torch.stack(list(output.losses.values())).sum()
        error = square_error(output.prediction.detach().clamp(0, 1), output.batch.image, output.batch.counts)
        step = torch.stack([loss, error, torch.ones_like(error)])
        step = torch.where(step.isfinite().all(), step, 0.0)  # skipped steps do not count
        self._sums = step if self._sums is None else self._sums + step
        phase, total = output.phase, pl_module.schedule.total
        if phase.step % row_every(total) and phase.step != total:
            return
        *sums, steps = self._sums.tolist()
        self._sums = None
        if not steps:
            return
        means = [value / steps for value in sums]
        self.rows.append(
            {
                "step": phase.step,
                "loss": means[0],
                "psnr": -10 * math.log10(max(means[1], 1e-10)),
                "gaussians": len(pl_module.gaussians),
                "divisor": phase.divisor,
            }
        )
        write_table(self._folder / "history.csv", self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and the sums for the next one."""
        return {"rows": self.rows, "sums": None if self._sums is None else self._sums.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the rows of the interrupted run."""
        self.rows, self._sums = list(state_dict["rows"]), state_dict["sums"]

    def on_train_start(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Move loaded sums to the run's device."""
        if self._sums is not None:
            self._sums = self._sums.to(pl_module.device)


def row_every(total: int) -> int:
    """Steps between two rows of a run of ``total`` steps."""
    return EVERY * max(1, math.ceil(total / (EVERY * ROWS)))
