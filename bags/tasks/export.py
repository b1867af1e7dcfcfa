"""``task=export``: writes a run's Gaussians and cameras in the formats of other programs (docs/export.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

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
from bags.ops.regions import common_sphere, extent, inside, solid
from bags.ops.trajectories import focus
from bags.run.build import Trained, trained
from bags.run.results import report_again
from bags.scene_page import SCENE, Photo, scene_page
from bags.scene_page.client import fetched
from bags.settings import Settings
from bags.system.memory import in_words
from bags.system.terminal import tell

PHOTOS = 100  # largest number of photos in the page, evenly spread over all of them


def run(settings: Settings) -> None:
    """Write ``export.formats`` and, with ``export.cameras``, the training cameras to ``export/step_N/``."""
    if "html" in settings.export.formats:
        fetched()  # fail before anything is written
    write(settings, trained(settings))
    report_again(settings)  # it links to the files


@torch.no_grad()
def write(settings: Settings, exported: Trained) -> None:
    """As ``run``, for a run that is already loaded; the report is not updated.

    Gaussians that ``export.clean`` and ``export.region`` leave out are removed from its module.
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
        tell(f"{file}  {in_words(file.stat().st_size)}")
    if settings.export.cameras:
        cameras = {view.name: view.camera for view in exported.photos()}
        files = write_colmap(folder / "sparse" / "0", cameras, scene.points)
        tell(f"{files[0].parent}/  {len(cameras)} cameras")


def leave_out(settings: Settings, exported: Trained) -> None:
    """Remove Gaussians from the module by ``export.clean`` and ``export.region``, and print what was removed.

    Raises:
        SettingError: nothing would be left.
    """
    gaussians, datamodule = exported.module.gaussians, exported.datamodule
    cameras = datamodule.cameras(exported.module.schedule.finest)
    if settings.export.clean != "off":
        found = removable(gaussians.splats(), gather(exported.module, cameras), LEVELS[settings.export.clean])
        keep = ~torch.stack(list(found.values())).any(dim=0)
        if not keep.any():
            raise SettingError("export.clean", settings.export.clean, "no Gaussian would be left; use off")
        before = likeness(settings, exported)
        counts = ", ".join(f"{int(rows.sum()):,} {reason}" for reason, rows in found.items())
        tell(f"export.clean={settings.export.clean}: removed of {len(keep):,} Gaussians: {counts}")
        gaussians.keep(keep)
        for views, was, now in zip(("training", "test"), before, likeness(settings, exported), strict=True):
            if was is not None and now is not None:
                tell(f"  PSNR of {views} views: {was:.2f} dB before, {now:.2f} dB after")
    if settings.export.region is not None:
        region = settings.export.region
        where = common_sphere(cameras, solid(gaussians.splats())) if isinstance(region, str) else region
        keep = inside(gaussians.means, where)
        if not keep.any():
            remedy = f"contains none of the {len(keep):,} Gaussians, which are at {extent(gaussians.means)}"
            raise SettingError("export.region", region, remedy)
        numbers = ",".join(f"{number:.4g}" for number in where)
        tell(f"export.region=[{numbers}]: {int(keep.sum()):,} of {len(keep):,} Gaussians are in it")
        gaussians.keep(keep)


def likeness(settings: Settings, exported: Trained) -> tuple[float | None, float | None]:
    """Mean PSNR in dB of the predicted training photos and of the test views; None if there are none."""
    module, datamodule = exported.module, exported.datamodule
    views = describe_training_views(module, datamodule, limit=settings.output.train_views)["train_views"]
    tests = judge_test_views(module, datamodule.test_dataloader(), replace(settings.metrics, lpips=False))
    return mean(view["psnr"] for view in views) if views else None, tests["psnr"]


def write_page(settings: Settings, exported: Trained) -> Path:
    """Write ``scene.html`` to the run's folder, beside the report."""
    datamodule, module = exported.datamodule, exported.module
    splats = module.gaussians.splats().to("cpu")
    photos, placed = [], exported.photos()
    for index in spread_out(len(placed), PHOTOS):
        view = view_at(datamodule.train, index, module.schedule.finest)
        pictures = [("photo", to_picture(view.image))]
        predicted = settings.folder / "train_views" / "prediction" / f"{stem(view.name)}.png"
        if predicted.is_file():
            pictures.append(("predicted blur", read_image(predicted).convert("RGB")))
        camera = placed[index].camera.resized(view.camera.width, view.camera.height)
        photos.append(Photo(view.name, camera, pictures))
    seen = focus([photo.camera for photo in photos], solid(splats))
    spread = settings.model.gaussians.kernel_size
    page = scene_page(settings.name, splats, photos, seen.tolist(), spread, settings.dataset.white_background)
    file = settings.folder / SCENE
    write_text(file, page)
    return file
