"""PLY files of the Gaussians."""

from __future__ import annotations

from typing import Any

from lightning import Callback, Trainer

from bags.modules.bags_module import BagsModule
from bags.modules.export import to_ply


class PlyExport(Callback):
    """Writes ``point_cloud.ply`` at the end of training and ``point_cloud_N.ply`` at ``output.save_steps``."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: BagsModule, *args: Any) -> None:  # type: ignore[override]
        """Write what is due."""
        assert pl_module.output is not None
        step, settings = pl_module.output.phase.step, pl_module.settings
        if step in settings.output.save_steps:
            to_ply(settings.folder / f"point_cloud_{step}.ply", pl_module.gaussians)
        if step == pl_module.schedule.total:
            to_ply(settings.folder / "point_cloud.ply", pl_module.gaussians)
