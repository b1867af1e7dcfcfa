"""``task=render``: pictures of test views, training views or both, from any checkpoint."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.progress import track

from bags.evaluation import stem
from bags.io.images import depth_picture, write_png
from bags.run_folder import checkpoint
from bags.settings import Settings
from bags.tasks.device import choose_device
from bags.tasks.setup import build, load_weights


@torch.no_grad()
def run(settings: Settings) -> None:
    """Draw the views of ``render.split`` sharp, with depth, into ``renders/step_N/<split>/``."""
    path = checkpoint(settings, default="last")
    assert path is not None
    datamodule, module = build(settings)
    step = int(load_weights(module, path)["global_step"])
    module.to(choose_device(settings)).eval()
    loaders = {"test": datamodule.test_dataloader, "train": datamodule.train_views_dataloader}
    console = Console(stderr=True)
    for split in ("test", "train"):
        if settings.render.split not in (split, "both"):
            continue
        folder = settings.folder / "renders" / f"step_{step}" / split
        views = list(loaders[split]())
        for view in track(views, f"{split} views", console=console, transient=True):
            render = module.render(view.camera)
            write_png(folder / f"{stem(view.name)}.png", render.rgb)
            write_png(folder / f"{stem(view.name)}_depth.png", depth_picture(render.depth, render.alpha))
        console.print(f"{len(views)} {split} views in {folder}/", highlight=False)
