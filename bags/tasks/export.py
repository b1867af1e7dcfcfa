"""``task=export``: a run's Gaussians and cameras as files of other programs (docs/export.md)."""

from __future__ import annotations

from pathlib import Path

import torch

from bags.io.colmap import write_colmap
from bags.io.ply import write_ply
from bags.io.splat_files import write_splats
from bags.modules.export import unfiltered
from bags.run.build import trained
from bags.settings import Settings
from bags.system.terminal import terminal


@torch.no_grad()
def run(settings: Settings) -> None:
    """Write ``export.formats``, and the training views where ``export.cameras`` says so, to ``export/step_N/``."""
    exported = trained(settings)
    gaussians, scene = exported.module.gaussians, exported.datamodule.scene
    folder, splats = settings.folder / "export" / f"step_{exported.step}", gaussians.splats()
    console = terminal(stderr=True)
    for kind in settings.export.formats:
        if kind == "ply_with_filter":
            file = folder / "point_cloud_with_filter.ply"
            write_ply(file, unfiltered(gaussians))
        else:
            file = write_splats(folder / "point_cloud", splats, kind)
        console.print(f"{file}  {size(file)}", soft_wrap=True)
    if settings.export.cameras:
        cameras = {view.name: view.camera for view in scene.train}
        files = write_colmap(folder / "sparse" / "0", cameras, scene.points)
        console.print(f"{files[0].parent}/  {len(cameras)} cameras", soft_wrap=True)


def size(file: Path) -> str:
    """A file's size for people: ``12.3 MB``."""
    return f"{file.stat().st_size / 1e6:.1f} MB"
