"""Times a whole training step with the camera-based blur models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bags.benchmark.inputs import front_camera, random_gaussians
from bags.benchmark.measure import measure, row
from bags.modules.camera_blur import CameraBlur
from bags.modules.lens import Lenses
from bags.modules.trajectory import Paths
from bags.ops.ssim import l1_ssim
from bags.ops.threads import suit_torch, torch_threads_by_size
from bags.rendering import make_rasterizer
from bags.schedule import Phase
from bags.settings import LensSettings, TrajectorySettings
from bags.types import Camera, RenderOutput, ViewBatch

LENS = (1.5, 1.5, 0.5)  # ``Lenses.numbers``: discs of 3 pixels and more
PHASE = Phase(step=1, clock=1, multi_scale=False, scale=0, divisor=1, blur=True)


def camera_blur_row(
    width: int, height: int, count: int, pixels: float, lens: bool, repeats: int, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Time one training step: render, blur along the path and by the lens, loss, backward and Adam.

    Args:
        width: of the photo, pixels.
        height: of the photo, pixels.
        count: Gaussians, two pixels wide on screen.
        pixels: length of the camera's path on the photo; 0: the camera is at rest.
        lens: whether the photo is also out of focus.
        repeats: of the measurement.
        device: of the step, which uses the fastest rasteriser for it.
    """
    gaussians = random_gaussians(count, 2.0, width, device)
    camera = front_camera(width, height, device)
    paths = Paths(1, TrajectorySettings(start=0.0), 1.0, 0, 1 / camera.fx).to(device) if pixels else None
    if paths is not None:
        paths.coefficients.data[0, 0, 0] = pixels
    centre = torch.tensor([0.0, 0.0, 5.0])
    lenses = Lenses(1, LensSettings(), centre, 0, 1 / camera.fx).to(device) if lens else None
    if lenses is not None:
        lenses.numbers.data[0] = torch.tensor(LENS)
    blur = CameraBlur(paths, lenses, TrajectorySettings(), linear_light=True)
    rasterizer = make_rasterizer("auto", device)
    background = torch.zeros(3, device=device)
    view = ViewBatch(camera, torch.rand(3, height, width, device=device), 0, "photo", step=1)
    learned = [gaussians, *(part for part in (paths, lenses) if part is not None)]
    parameters: list[Tensor] = [parameter for part in learned for parameter in part.parameters()]
    adam = torch.optim.Adam(parameters, lr=0.0, fused=True)

    def draw(camera: Camera) -> RenderOutput:
        return rasterizer(gaussians.splats(), camera, sh_degree=3, background=background)

    def step() -> None:
        adam.zero_grad()
        l1_ssim(blur.expose(view, camera, PHASE, draw).prediction, view.image, 0.2).backward()
        adam.step()

    kind = " and ".join([*([f"path of {pixels:g} pixels"] if paths else []), *(["lens"] if lens else [])])
    with torch_threads_by_size():
        suit_torch(width * height, count, network=False)
        ours = measure(step, repeats, device)
    return row(f"step {width}x{height} {count / 1000:g}k {kind}", ours, None)
