"""Steps with a non-finite loss or gradient are skipped; a run with too many in a row is stopped."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer

from bags.callbacks.base import StepCallback
from bags.errors import BagsError
from bags.modules.bags_module import BagsModule
from bags.ops.ranks import max_over_ranks

log = logging.getLogger(__name__)

LOOK_EVERY = 10  # steps; reading a number from the device waits for it


class SkipNonFinite(StepCallback):
    """Makes the optimiser skip a step with NaN or infinity: parameters, Adam's moments and statistics do not change.

    A gradient whose norm overflows counts as infinite, because its square would stay in Adam's second moment for ever.
    The check runs on the device, and its result is passed to Adam there (``found_inf``, as in mixed precision), so that
    steps do not wait for it. Every ``LOOK_EVERY`` steps the results are read: skipped steps are logged, and the run is
    stopped if the last ``optim.most_skipped`` steps or more were skipped. The saved state is that from before them.

    Must come before the callbacks that use gradients or edit the Gaussians.

    Attributes:
        skipped: steps skipped so far.
        since: first of the consecutive skipped steps up to the last check; None: the last step was finite.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.since: int | None = None
        self._losses: list[Tensor] = []  # of the step's views
        self._views: list[str] = []
        self._unread: list[tuple[int, list[str], Tensor]] = []  # step, views, flags: skipped, each view's loss finite

    def on_after_backward(self, trainer: Trainer, pl_module: BagsModule) -> None:  # type: ignore[override]
        """Record a view's loss."""
        output = pl_module.output
        assert output is not None
        self._losses.append(torch.stack(list(output.losses.values())).sum())
        self._views.append(output.batch.name)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: BagsModule, optimizer: Optimizer) -> None:  # type: ignore[override]
        """Set whether the optimiser skips this step."""
        assert pl_module.output is not None
        step, losses = pl_module.output.phase.step, torch.stack(self._losses).isfinite()
        gradients = [g for _, parameter in _parameters(pl_module) if (g := parameter.grad) is not None]
        finite = torch.stack([gradient.norm() for gradient in gradients]).isfinite().all() & losses.all()
        optimizer.found_inf = max_over_ranks((~finite).float())  # type: ignore[attr-defined]
        self._unread.append((step, self._views, torch.cat([optimizer.found_inf[None], losses.float()])))  # type: ignore[attr-defined]
        self._losses, self._views = [], []
        if step % LOOK_EVERY == 0:
            self._look()
            if self.since is not None and step - self.since >= pl_module.optim.most_skipped - 1:
                self._give_up(trainer, pl_module, step)

    def _look(self) -> None:
        """Count and log the steps skipped since the last check."""
        steps, names = [], []
        for step, views, flags in self._unread:
            spoiled, *fine = flags.tolist()
            self.since = (self.since or step) if spoiled else None
            if spoiled:
                steps.append(step)
                names += [view for view, good in zip(views, fine, strict=True) if not good] or views
        self._unread = []
        self.skipped += len(steps)
        if steps:
            log.warning(
                "skipped, because the loss or its gradient is NaN or infinite: step %s, view %s (%d so far)",
                ", ".join(map(str, steps)), ", ".join(dict.fromkeys(names)), self.skipped,
            )  # fmt: skip

    def _give_up(self, trainer: Trainer, pl_module: BagsModule, step: int) -> None:
        """Stop with a diagnosis, after this step and its checkpoint.

        Raises:
            BagsError: the parameters themselves contain NaN or infinity, so there is nothing to save.
        """
        assert pl_module.output is not None
        named = _parameters(pl_module)
        broken = [text for name, parameter in named if (text := _count(name, parameter.detach()))]
        slopes = [text for name, parameter in named if (g := parameter.grad) is not None and (text := _count(name, g))]
        why = (
            f"NaN or infinity in the loss or its gradient at every step since step {self.since}, "
            f"at step {step} with view {pl_module.output.batch.name}; in the gradient of: {_listed(slopes)}"
        )
        if broken:
            raise BagsError(f"{why}; also in the values of: {_listed(broken)}. Earlier checkpoints are intact")
        self.halt(trainer, f"{why}. The saved state is from before step {self.since}")

    def state_dict(self) -> dict[str, Any]:
        """The counts, so that a resumed run continues with them."""
        self._look()
        return {"skipped": self.skipped, "since": self.since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the counts of the interrupted run."""
        self.skipped, self.since = state_dict["skipped"], state_dict["since"]


def left_out(optimizer: Optimizer) -> Tensor | None:
    """Whether this step is skipped: a scalar, 1 or 0, on the device; None without the callback."""
    return getattr(optimizer, "found_inf", None)


def _parameters(module: BagsModule) -> list[tuple[str, Tensor]]:
    return [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]


def _count(name: str, values: Tensor) -> str | None:
    """``name`` with the number of non-finite ``values``; None: all are finite."""
    bad = int((~values.isfinite()).sum())
    return f"{name} ({bad:,} of {values.numel():,})" if bad else None


def _listed(parts: list[str], most: int = 3) -> str:
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more or "no parameter"
