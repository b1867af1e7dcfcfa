"""``make formats``: the table of docs/export.md, what a reader of others makes of each format that we write.

Trains the built-in scene for a moment, writes its Gaussians in each format, lets splat-transform read them and write a
PLY, draws that, and compares it with the run's own renders. Needs npm and, the first time, a network.
"""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from bags.cli import config_folder
from bags.config.nodes import register, to_settings
from bags.datamodules.view_loader import view_at
from bags.evaluation.views import spread_out
from bags.io.ply import read_ply, to_splats
from bags.io.splat_files import FORMATS, write_splats
from bags.modules.bags_module import BagsModule
from bags.ops.psnr import psnr
from bags.run.build import Trained, trained
from bags.settings import Settings
from bags.tasks import train
from bags.types import Camera, Splats

READER = "@playcanvas/splat-transform@2.7.1"
STEPS = 800
VIEWS = 8


def settings() -> Settings:
    register()
    words = ["name=formats", f"schedule.steps={STEPS}", "output.images_every=null"]
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return to_settings(compose("config", overrides=words))


def read_by_others(file: Path) -> Splats:
    """The file's Gaussians by way of splat-transform."""
    ply = file.with_name("read.ply")
    command = ["npx", "--yes", READER, "--overwrite", "--quiet", "--gpu", "cpu", str(file), str(ply)]
    subprocess.run(command, check=True, env=os.environ | {"npm_config_ignore_scripts": "true"})
    return to_splats(read_ply(ply))


def drawn(module: BagsModule, splats: Splats, camera: Camera) -> Tensor:
    render = module.rasterizer(
        splats.to(module.device),
        camera.to(module.device),
        sh_degree=math.isqrt(1 + splats.sh_rest.shape[1]) - 1,
        background=module.background,
        kernel_size=module.model.gaussians.kernel_size,
    )
    return render.rgb.clamp(0, 1)


@torch.no_grad()
def table(found: Trained) -> None:
    """Print what becomes of each format, as a table in Markdown."""
    module, views = found.module, found.datamodule.train
    cameras = [view_at(views, index, module.schedule.finest).camera for index in spread_out(len(views), VIEWS)]
    own = [module.render(camera.to(module.device)).rgb.clamp(0, 1) for camera in cameras]
    print(f"{len(module.gaussians):,} Gaussians\n\n| format | size | PSNR, lowest view | mean |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in FORMATS:
            file = write_splats(Path(scratch, kind), module.gaussians.splats(), kind)
            splats = read_by_others(file)
            figures = [
                psnr(drawn(module, splats, camera), picture) for camera, picture in zip(cameras, own, strict=True)
            ]
            size = f"{file.stat().st_size / 1e6:.2f} MB"
            print(f"| `{kind}` | {size} | {min(figures):.1f} dB | {sum(figures) / VIEWS:.1f} dB |", flush=True)


if __name__ == "__main__":
    run = settings()
    train.run(run)
    table(trained(run))
