"""Blur as a camera makes it: it moves while the shutter is open, and its lens is in focus at one distance.

Twelve numbers a photo for the path and three for the lens, all of physics: they explain shake, defocus and low
resolution, and hardly anything that is no blur.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bags.modules.blur_model import Draw, Exposure
from bags.modules.gaussians import Gaussians
from bags.modules.lens import Lenses
from bags.modules.optical_blur import OpticalBlur
from bags.modules.trajectory import Paths, instants
from bags.ops.light import to_linear, to_srgb
from bags.ops.spread import spread
from bags.schedule import Phase
from bags.settings import OptimSettings
from bags.types import Camera, RenderOutput, Splats, ViewBatch

INSTANTS = 16  # of the exposure, at which a point's way over the photo is looked at


class CameraBlur:
    """The blur models ``trajectory``, ``lens`` and ``hybrid``, which has both.

    Args:
        gaussians: to be drawn from the poses of the paths.
        paths: of all photos; None: cameras rest.
        lenses: of all photos; None: all is in focus.
        poses: along a path, at most.
        pixels: of a path that one pose stands for, before it takes another.
        linear_light: mix light instead of sRGB values.
    """

    def __init__(
        self,
        gaussians: Gaussians,
        paths: Paths | None,
        lenses: Lenses | None,
        poses: int,
        pixels: float,
        linear_light: bool,
    ) -> None:
        self.gaussians, self.paths, self.lenses = gaussians, paths, lenses
        self.poses, self.pixels, self.linear_light = poses, pixels, linear_light

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Those of the paths and of the lenses."""
        groups = (("trajectory", self.paths, optim.trajectory), ("lens", self.lenses, optim.lens))
        return [{"name": name, "params": list(part.parameters()), "lr": rate} for name, part, rate in groups if part]

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Draw the view from the poses of its path, average, and spread as the lens does."""
        splats = self.gaussians.splats()
        sharp = self._seen(view, camera, splats, draw, torch.zeros(1))[0]
        distance = _distance(sharp)
        variance = self._variance(view, distance)
        blur = self.blur_of(view, distance, variance.detach())
        times, weights = instants(self.poses_of(blur))
        middle = len(times) // 2
        renders = self._seen(view, camera, splats, draw, torch.cat([times[:middle], times[middle + 1 :]]))
        renders.insert(middle, sharp)
        light = [to_linear(render.rgb) if self.linear_light else render.rgb for render in renders]
        mean = torch.stack([weight * one for weight, one in zip(weights.tolist(), light, strict=True)]).sum(0)
        if self.lenses is not None:
            mean = spread(mean, variance)
        prediction = to_srgb(mean) if self.linear_light else mean
        return Exposure(sharp.rgb, sharp.depth, sharp.alpha, prediction, blur, tuple(renders))

    def rest(self, view: ViewBatch, camera: Camera, draw: Draw) -> Exposure:
        """The view as a camera at rest and in focus sees it: nothing is blurred."""
        render = draw(camera)
        distance = _distance(render)
        still = torch.eye(3).to(distance)[None], distance.new_zeros(1, 3), distance.new_ones(1)
        blur = OpticalBlur(view.camera, distance, *still, torch.zeros_like(distance))
        return Exposure(render.rgb, render.depth, render.alpha, render.rgb, blur, (render,))

    def poses_of(self, blur: OpticalBlur) -> int:
        """As many as the path is long on the photo: an odd number, from 3 on, so that a path can always grow."""
        if self.paths is None:
            return 1
        return min(self.poses, max(3, 2 * math.ceil(blur.path_length() / self.pixels / 2) + 1))

    def _seen(self, view: ViewBatch, camera: Camera, splats: Splats, draw: Draw, times: Tensor) -> list[RenderOutput]:
        """What the camera sees at ``times`` of the exposure."""
        if self.paths is None:
            return [draw(camera, splats) for _ in times]
        renders = []
        for turn, shift in zip(*self.paths.motion(view.index, times), strict=True):
            pose = {"rotation": turn @ camera.rotation, "translation": turn @ camera.translation + shift}
            renders.append(draw(replace(camera, **pose), splats))
        return renders

    def _variance(self, view: ViewBatch, distance: Tensor) -> Tensor:
        """(H, W) of the lens where the pixels show what lies at ``distance`` (H, W); 0 without lenses."""
        if self.lenses is None:
            return torch.zeros_like(distance)
        return self.lenses.variance(view.index, distance, view.camera)

    @torch.no_grad()
    def blur_of(self, view: ViewBatch, distance: Tensor, variance: Tensor) -> OpticalBlur:
        """The blur of a view whose pixels show what lies at ``distance`` (H, W), with the lens's ``variance`` there."""
        times, weights = (part.to(distance) for part in instants(INSTANTS))
        if self.paths is None:
            turns, shifts = torch.eye(3).to(distance).expand(INSTANTS, 3, 3), distance.new_zeros(INSTANTS, 3)
        else:
            turns, shifts = self.paths.motion(view.index, times)
        return OpticalBlur(view.camera, distance, turns, shifts, weights, variance)


def _distance(render: RenderOutput) -> Tensor:
    """(H, W) of what the pixels show from the camera, in scene units."""
    return render.depth.detach() / render.alpha.detach().clamp_min(1e-3)
