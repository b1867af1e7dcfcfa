"""Numbers for the logger: losses by term, learning rates, Gaussians, scale."""

from __future__ import annotations

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.ops.psnr import psnr

LOG_EVERY = 10  # steps


class ScalarLogging(StepCallback):
    """Logs to all loggers of the run, every ``LOG_EVERY`` steps."""

    first_rank_only = True

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Log this step."""
        if not trainer.loggers or output.phase.step % LOG_EVERY:
            return
        scalars = {f"loss/{name}": float(value) for name, value in output.losses.items()}
        scalars["loss/total"] = sum(scalars.values())
        scalars["train/psnr"] = psnr(output.prediction.detach(), output.batch.image, output.batch.counts)
        scalars["train/gaussians"] = float(len(pl_module.gaussians))
        scalars["train/scale"] = float(output.phase.divisor)
        if output.proposal is not None and output.proposal.has_mask:
            scalars["train/mask"] = float(output.proposal.mask.detach().mean())
        for group in trainer.optimizers[0].param_groups:
            scalars[f"rate/{group['name']}"] = float(group["lr"])
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=output.phase.step)
