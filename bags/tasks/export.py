"""``task=export``: a run's Gaussians and cameras as files of other programs (docs/export.md)."""

from __future__ import annotations

from pathlib import Path

import torch

from bags.datamodules.view_loader import view_at
from bags.evaluation.views import spread_out, stem
from bags.io.colmap import write_colmap
from bags.io.images import read_image, to_picture
from bags.io.ply import write_ply
from bags.io.records import write_text
from bags.io.splat_files import write_splats
from bags.modules.export import unfiltered
from bags.ops.trajectories import focus
from bags.run.build import Trained, trained
from bags.run.results import report_again
from bags.scene_page import SCENE, Photo, scene_page
from bags.scene_page.client import fetched
from bags.settings import Settings
from bags.system.terminal import terminal

PHOTOS = 100  # at most so many are in the page, spread over all of them
SOLID = 0.5  # opacity from which a Gaussian counts as a thing to look at


@torch.no_grad()
def run(settings: Settings) -> None:
    """Write ``export.formats``, and the training views where ``export.cameras`` says so, to ``export/step_N/``."""
    if "html" in settings.export.formats:
        fetched()  # what cannot be had is told before anything is written
    exported = trained(settings)
    gaussians, scene = exported.module.gaussians, exported.datamodule.scene
    folder, splats = settings.folder / "export" / f"step_{exported.step}", gaussians.splats()
    console = terminal(stderr=True)
    for kind in settings.export.formats:
        if kind == "ply_with_filter":
            file = folder / "point_cloud_with_filter.ply"
            write_ply(file, unfiltered(gaussians))
        elif kind == "html":
            file = write_page(settings, exported)
        else:
            file = write_splats(folder / "point_cloud", splats, kind)
        console.print(f"{file}  {size(file)}", soft_wrap=True)
    if settings.export.cameras:
        cameras = {view.name: view.camera for view in scene.train}
        files = write_colmap(folder / "sparse" / "0", cameras, scene.points)
        console.print(f"{files[0].parent}/  {len(cameras)} cameras", soft_wrap=True)


def write_page(settings: Settings, exported: Trained) -> Path:
    """``scene.html`` in the run's folder, beside the report, which then leads to it."""
    datamodule, module = exported.datamodule, exported.module
    splats = module.gaussians.splats().to("cpu")
    photos = []
    for index in spread_out(len(datamodule.scene.train), PHOTOS):
        view = view_at(datamodule.train, index, module.schedule.finest)
        pictures = [("photo", to_picture(view.image))]
        predicted = settings.folder / "train_views" / "prediction" / f"{stem(view.name)}.png"
        if predicted.is_file():
            pictures.append(("predicted blur", read_image(predicted).convert("RGB")))
        photos.append(Photo(view.name, view.camera, pictures))
    solid = splats.means[splats.opacities > SOLID]
    seen = focus([photo.camera for photo in photos], solid if len(solid) else splats.means)
    spread = settings.model.gaussians.kernel_size
    page = scene_page(settings.name, splats, photos, seen.tolist(), spread, settings.dataset.white_background)
    file = settings.folder / SCENE
    write_text(file, page)
    report_again(settings)
    return file


def size(file: Path) -> str:
    """A file's size for people: ``12.3 MB``."""
    return f"{file.stat().st_size / 1e6:.1f} MB"
