"""``task=export``: a run's Gaussians and cameras as files of other programs (docs/export.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from bags.datamodules.view_loader import view_at
from bags.errors import SettingError
from bags.evaluation.cleaning import LEVELS, gather, removable
from bags.evaluation.views import describe_training_views, judge_test_views, spread_out, stem
from bags.io.colmap import write_colmap
from bags.io.images import read_image, to_picture
from bags.io.ply import write_ply
from bags.io.records import write_text
from bags.io.splat_files import write_splats
from bags.modules.export import unfiltered
from bags.ops.regions import common_sphere, extent, inside
from bags.ops.trajectories import focus
from bags.run.build import Trained, trained
from bags.run.results import report_again
from bags.scene_page import SCENE, Photo, scene_page
from bags.scene_page.client import fetched
from bags.settings import Settings
from bags.system.terminal import tell
from bags.types import Splats

PHOTOS = 100  # at most so many are in the page, spread over all of them
SOLID = 0.5  # opacity from which a Gaussian counts as a thing to look at


def run(settings: Settings) -> None:
    """Write ``export.formats``, and the training views where ``export.cameras`` says so, to ``export/step_N/``."""
    if "html" in settings.export.formats:
        fetched()  # without it, fail before anything is written
    write(settings, trained(settings))
    report_again(settings)  # which leads to the files


@torch.no_grad()
def write(settings: Settings, exported: Trained) -> None:
    """As ``run``, of a run that is loaded already; the report stays as it is.

    The module loses the Gaussians that ``export.clean`` and ``export.region`` leave out.
    """
    leave_out(settings, exported)
    gaussians, scene = exported.module.gaussians, exported.datamodule.scene
    folder, splats = settings.folder / "export" / f"step_{exported.step}", gaussians.splats()
    for kind in settings.export.formats:
        if kind == "ply_with_filter":
            file = folder / "point_cloud_with_filter.ply"
            write_ply(file, unfiltered(gaussians))
        elif kind == "html":
            file = write_page(settings, exported)
        else:
            file = write_splats(folder / "point_cloud", splats, kind)
        tell(f"{file}  {size(file)}")
    if settings.export.cameras:
        cameras = {view.name: view.camera for view in scene.train}
        files = write_colmap(folder / "sparse" / "0", cameras, scene.points)
        tell(f"{files[0].parent}/  {len(cameras)} cameras")


def leave_out(settings: Settings, exported: Trained) -> None:
    """Remove from the module what ``export.clean`` and ``export.region`` say, and tell what it was.

    Raises:
        SettingError: nothing would be left.
    """
    gaussians, datamodule = exported.module.gaussians, exported.datamodule
    cameras = datamodule.cameras(exported.module.schedule.finest)
    if settings.export.clean != "off":
        found = removable(gaussians.splats(), gather(exported.module, cameras), LEVELS[settings.export.clean])
        keep = ~torch.stack(list(found.values())).any(dim=0)
        if not keep.any():
            raise SettingError("export.clean", settings.export.clean, "no Gaussian would be left; take off")
        before = likeness(settings, exported)
        counts = ", ".join(f"{int(rows.sum()):,} {reason}" for reason, rows in found.items())
        tell(f"export.clean={settings.export.clean}: of {len(keep):,} Gaussians left out: {counts}")
        gaussians.keep(keep)
        for views, was, now in zip(("training", "test"), before, likeness(settings, exported), strict=True):
            if was is not None and now is not None:
                tell(f"  PSNR of {views} views: {was:.2f} dB, without them {now:.2f} dB")
    if settings.export.region is not None:
        region = settings.export.region
        where = common_sphere(cameras, solid(gaussians.splats())) if isinstance(region, str) else region
        keep = inside(gaussians.means, where)
        if not keep.any():
            remedy = f"holds none of the {len(keep):,} Gaussians, which reach from {extent(gaussians.means)}"
            raise SettingError("export.region", region, remedy)
        numbers = ",".join(f"{number:.4g}" for number in where)
        tell(f"export.region=[{numbers}]: {int(keep.sum()):,} of {len(keep):,} Gaussians are in it")
        gaussians.keep(keep)


def likeness(settings: Settings, exported: Trained) -> tuple[float | None, float | None]:
    """Mean PSNR in dB of the predicted training photos and of the test views; None where there are none."""
    module, datamodule = exported.module, exported.datamodule
    views = describe_training_views(module, datamodule, limit=settings.output.train_views)["train_views"]
    tests = judge_test_views(module, datamodule.test_dataloader(), replace(settings.metrics, lpips=False))
    return mean(view["psnr"] for view in views) if views else None, tests["psnr"]


def solid(splats: Splats) -> Tensor:
    """(M, 3) centres of the Gaussians that count as a thing to look at; of all where none does."""
    opaque = splats.means[splats.opacities > SOLID]
    return opaque if len(opaque) else splats.means


def write_page(settings: Settings, exported: Trained) -> Path:
    """``scene.html`` in the run's folder, beside the report."""
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
    seen = focus([photo.camera for photo in photos], solid(splats))
    spread = settings.model.gaussians.kernel_size
    page = scene_page(settings.name, splats, photos, seen.tolist(), spread, settings.dataset.white_background)
    file = settings.folder / SCENE
    write_text(file, page)
    return file


def size(file: Path) -> str:
    """A file's size as text: ``12.3 MB``."""
    return f"{file.stat().st_size / 1e6:.1f} MB"
