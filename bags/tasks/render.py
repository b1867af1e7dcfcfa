"""``task=render``: renders views sharp, or a video of a flight through the scene, from any checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor
from torch.nn.functional import pad

from bags.datamodules.pyramid import as_float, opaque, resized
from bags.datamodules.resolution import training_size
from bags.evaluation.views import stem
from bags.io.images import LABEL_HEIGHT, depth_ends, depth_picture, tile, write_png
from bags.io.video import writing_video
from bags.modules.bags_module import BagsModule
from bags.ops.regions import solid
from bags.ops.trajectories import ellipse, resting_path, spiral, training_path
from bags.run.build import Trained, trained
from bags.run.results import report_again
from bags.settings import Settings
from bags.system.memory import in_words
from bags.system.terminal import tell, terminal
from bags.types import Camera, View

CONSOLE = terminal(stderr=True)
PROBES = 8  # frames of a video whose depths determine the range of its colours


def run(settings: Settings) -> None:
    """Render the views of ``render.split`` to ``renders/step_N/<split>/``, or ``render.path`` as a video."""
    draw(settings, trained(settings))
    if settings.render.path is not None:
        report_again(settings)  # it links to the video


@torch.no_grad()
def draw(settings: Settings, drawn: Trained) -> None:
    """As ``run``, for a run that is already loaded; the report is not updated."""
    module, photos = drawn.module, drawn.photos()
    folder = settings.folder / "renders" / f"step_{drawn.step}"
    if settings.render.path is not None:
        if settings.render.path == "before_after":
            compare(settings, module, photos, folder)
        else:
            film(settings, module, [camera_of(view, settings) for view in photos], folder)
        return
    for split, views in (("test", drawn.datamodule.scene.test), ("train", photos)):
        if settings.render.split == split or (views and settings.render.split == "both"):
            photograph(settings, module, views, folder / split)


def camera_of(view: View, settings: Settings) -> Camera:
    """A view's camera at ``render.factor``, or at training resolution if that is null."""
    width, height = view.camera.width, view.camera.height
    if settings.render.factor is not None:
        size = training_size(width, height, settings.render.factor, key="render.factor")
    else:
        size = training_size(width, height, settings.dataset.factor, settings.schedule.scale_divisors[-1])
    return view.camera.resized(*size)


def photograph(settings: Settings, module: BagsModule, views: Sequence[View], folder: Path) -> None:
    """Render every view sharp as ``<name>.png`` and, with ``render.depth``, its depth as ``<name>_depth.png``."""
    for view in track(views, f"{folder.name} views", console=CONSOLE, transient=True):
        render = module.render(camera_of(view, settings).to(module.device))
        write_png(folder / f"{stem(view.name)}.png", render.rgb)
        if settings.render.depth:
            write_png(folder / f"{stem(view.name)}_depth.png", depth_picture(render.depth, render.alpha))
    tell(f"{len(views)} {folder.name} views in {folder}/")


def film(settings: Settings, module: BagsModule, cameras: Sequence[Camera], folder: Path) -> None:
    """Render the flight ``render.path`` as ``<path>.mp4`` and, with ``render.depth``, as ``<path>_depth.mp4``."""
    chosen = settings.render
    assert chosen.path is not None
    flight = [even(camera).to(module.device) for camera in route(chosen.path, module, cameras, chosen.frames)]
    files = [folder / f"{chosen.path}.mp4", *([folder / f"{chosen.path}_depth.mp4"] if chosen.depth else [])]
    ends = shared_ends(module, flight[:: -(-len(flight) // PROBES)]) if chosen.depth else None
    with ExitStack() as stack:
        size = flight[0].width, flight[0].height
        writers = [stack.enter_context(writing_video(file, *size, chosen.fps)) for file in files]
        for camera in track(flight, f"{chosen.path} video", console=CONSOLE, transient=True):
            render = module.render(camera)
            writers[0](render.rgb)
            if chosen.depth:
                writers[1](depth_picture(render.depth, render.alpha, ends))
    for file in files:
        tell_film(file, len(flight), chosen.fps)


def compare(settings: Settings, module: BagsModule, views: Sequence[View], folder: Path) -> None:
    """Render ``before_after.mp4``: a photo on the left, and on the right the sharp render, which flies to the next one.

    Each photo is shown for about a second. If there are more photos than seconds, some are chosen, evenly spread.
    """
    chosen = settings.render
    cameras = [even(camera_of(view, settings)) for view in views]
    path = resting_path(cameras, chosen.frames, stops=max(2, round(chosen.frames / chosen.fps)))
    width, height = (max(getattr(camera, side) for _, camera in path) for side in ("width", "height"))
    file, shown, drawn = folder / "before_after.mp4", -1, None
    with writing_video(file, 2 * width, height + LABEL_HEIGHT, chosen.fps) as write:
        for index, camera in track(path, "before_after video", console=CONSOLE, transient=True):
            if index != shown:
                photo, shown = photo_of(views[index], camera, settings), index
            if camera is not drawn:  # otherwise the camera rests
                render, drawn = module.render(camera.to(module.device)).rgb.cpu(), camera
            pair = [centred(picture, width, height) for picture in (photo, render)]
            write(tile(pair, columns=2, labels=["photo", "sharp render"]))
    tell_film(file, len(path), chosen.fps)


def photo_of(view: View, camera: Camera, settings: Settings) -> Tensor:
    """(3, H, W) in [0, 1] the view's photo at the size of ``camera``, which is ``even(camera_of(view, settings))``."""
    whole = camera_of(view, settings)
    background = (255, 255, 255) if settings.dataset.white_background else (0, 0, 0)
    return as_float(resized(opaque(view.load(), background), whole.width, whole.height))[
        :, : camera.height, : camera.width
    ]


def centred(picture: Tensor, width: int, height: int) -> Tensor:
    """``picture`` (3, h, w), padded with black on all sides to the given size, which must not be smaller."""
    across, down = width - picture.shape[2], height - picture.shape[1]
    return pad(picture, (across // 2, across - across // 2, down // 2, down - down // 2))


def route(path: str, module: BagsModule, cameras: Sequence[Camera], frames: int) -> list[Camera]:
    """The cameras of a flight (bags/ops/trajectories.py)."""
    if path == "train":
        return training_path(cameras, frames)
    points = solid(module.gaussians.splats())
    return {"ellipse": ellipse, "spiral": spiral}[path](cameras, points, frames)


def even(camera: Camera) -> Camera:
    """The camera without its last column or row if their number is odd, because videos need even sides."""
    width, height = camera.width // 2 * 2, camera.height // 2 * 2
    return camera if (width, height) == (camera.width, camera.height) else camera.cropped(0, 0, width, height)


def shared_ends(module: BagsModule, cameras: Sequence[Camera]) -> tuple[float, float]:
    """Nearest and farthest depth over some frames, so that colours have the same meaning throughout a video."""
    renders = [module.render(camera) for camera in cameras]
    ends = [depth_ends(render.depth, render.alpha) for render in renders]
    return min(near for near, _ in ends), max(far for _, far in ends)


def tell_film(file: Path, frames: int, fps: float) -> None:
    """Print a video's length and size."""
    tell(f"{file}  {frames} frames, {frames / fps:.1f} s, {in_words(file.stat().st_size)}")
