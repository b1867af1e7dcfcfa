"""NaN and infinity in a run, once and for good: the step is skipped, and a run that cannot go on says why.

Once: nothing of the step is left in the model, and the run finishes with finite numbers. For good: the run ends with a
line that names what went wrong, its last checkpoint is finite, and the same command without the trouble finishes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from lightning import Callback
from torch import Tensor

from tests.faults.runs import CHECKPOINT_EVERY, STEPS, Run, kept, saved
from tests.faults.tally import Tally
from tests.integration.test_training import assert_same

MEANS, NETWORK = "gaussians.means", "bpn"  # in whose gradient; a parameter's name, or its beginning
LOSS, PICTURE = "loss", "picture"
WHERE = (LOSS, MEANS, NETWORK, PICTURE)
EARLY, ORDINARY, EDITING = 5, 63, 110  # before the first checkpoint; nothing else happens; densification
VIEW = 2  # whose picture is spoilt


class Poison(Callback):
    """Puts ``value`` into the loss, one entry of a gradient, or one pixel of a view's picture.

    Args:
        where: one of ``WHERE``.
        value: NaN or infinity.
        steps: at these steps; a picture, where there is more than one step, only at those of the view ``VIEW``.
    """

    def __init__(self, where: str, value: float, steps: range) -> None:
        self.where, self.value, self.steps = where, value, steps
        self._now = False

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        compute = pl_module.training_step

        def spoilt(*args: Any) -> Tensor:
            loss = compute(*args)
            return loss * self.value if self._now and self.where == LOSS else loss

        pl_module.training_step = spoilt

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._now = batch.step in self.steps
        if self._now and self.where == PICTURE and (len(self.steps) == 1 or batch.index == VIEW):
            batch.image[0, 3, 3] = self.value

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if self._now and self.where in (MEANS, NETWORK):
            parameters = pl_module.named_parameters()
            gradients = [p.grad for name, p in parameters if name.startswith(self.where) and p.grad is not None]
            gradients[0].view(-1)[0] = self.value


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Try ``count`` of all cases, in random order."""
    once = list(itertools.product(WHERE, (math.nan, math.inf), (ORDINARY, EDITING)))
    for_good = list(itertools.product(WHERE, (math.nan, math.inf), (EARLY, ORDINARY)))
    cases = [(skipped, *case) for case in once] + [(stopped, *case) for case in for_good]
    Random(seed).shuffle(cases)
    lost = []
    for done, (judge, where, value, step) in enumerate(cases[:count], start=1):
        place = folder / f"{judge.__name__}_{where}_{value}_{step}"
        if wrong := judge(place, where, value, step):
            lost.append(f"{judge.__name__}: {value} in {where} at step {step}: {wrong} (files: {place})")
        if progress:
            progress(done)
    tried = len(cases[:count])
    return Tally("NaN and infinity", tried, tried - len(lost), lost)


def skipped(folder: Path, where: str, value: float, step: int) -> str | None:
    """What is wrong with a run that has a ``value`` in one step; None: nothing."""
    poison = Poison(where, value, range(step, step + 1))
    run = Run(folder, f"output.checkpoint_steps=[{step - 1},{step}]", injected=[poison])
    if status := run.wait():
        return f"ended with {status}: {run.said[-500:]}"
    if f"step {step}" not in run.said:
        return f"says nothing of step {step}: {run.said[-500:]}"
    before, after = (saved(run.folder, f"step_{at}.ckpt") for at in (step - 1, step))
    if step == ORDINARY:  # densification may well edit the model from what it saw at earlier steps
        try:
            assert_same(before["state_dict"], after["state_dict"], "model")
            assert_same(before["optimizer_states"][0]["state"], after["optimizer_states"][0]["state"], "Adam")
        except AssertionError as error:
            return f"the step left something behind: {str(error).splitlines()[0]}"
    return not_finite(run)


def stopped(folder: Path, where: str, value: float, step: int) -> str | None:
    """What is wrong with a run that has a ``value`` from a step on; None: nothing.

    A picture of one of several views spoils no other step: such a run has to finish.
    """
    run = Run(folder, injected=[Poison(where, value, range(step, STEPS + 1))])
    status = run.wait()
    if where == PICTURE:
        return f"ended with {status}: {run.said[-500:]}" if status else not_finite(run)
    errors = [line for line in run.said.splitlines() if line.startswith("error: ")]
    if status <= 0 or "Traceback" in run.said or len(errors) != 1 or f"step {step}" not in errors[0]:
        return f"status {status}, and no one line that says since which step: {run.said[-800:]}"
    if where != LOSS and where not in errors[0]:
        return f"does not name the parameter {where}: {errors[0]}"
    at, damaged = kept(run.folder)
    if at < (least := (step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY) or damaged:
        return f"kept step {at}, not {least} {damaged}"
    if at and (wrong := not_finite(run)):
        return wrong
    again = Run(folder)
    if status := again.wait():
        return f"then, without the trouble, it ended with {status}: {again.said[-500:]}"
    return not_finite(again)


def not_finite(run: Run) -> str | None:
    """Names of parameters and of Adam's moments in the last checkpoint that hold NaN or infinity."""
    checkpoint = saved(run.folder)
    tensors = {name: value for name, value in checkpoint["state_dict"].items() if isinstance(value, Tensor)}
    for index, moments in checkpoint["optimizer_states"][0]["state"].items():
        tensors |= {f"Adam's {name} of parameter {index}": moment for name, moment in moments.items()}
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    return f"not finite: {', '.join(bad)}" if bad else None
