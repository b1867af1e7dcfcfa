"""PLY files of the Gaussians."""

from __future__ import annotations

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.modules.export import to_ply
from bags.settings import Settings


class PlyExport(StepCallback):
    """Writes ``point_cloud.ply`` at the end of training and ``point_cloud_N.ply`` at ``output.save_steps``."""

    first_rank_only = True

    def configure(self, settings: Settings) -> None:
        """Take the steps and the folder."""
        self._output, self._folder = settings.output, settings.folder

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Write what is due."""
        step = output.phase.step
        if step in self._output.save_steps:
            to_ply(self._folder / f"point_cloud_{step}.ply", pl_module.gaussians)
        if step == pl_module.schedule.total:
            to_ply(self._folder / "point_cloud.ply", pl_module.gaussians)
