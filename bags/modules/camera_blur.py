"""Physical model of blur: the camera moves while the shutter is open, and its lens is in focus at one distance.

With only twelve parameters per photo for the path and three for the lens, it explains shake, defocus and low
resolution, and hardly anything that is not blur.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bags.modules.blur_model import Draw, Exposure
from bags.modules.gaussians import Gaussians
from bags.modules.lens import Lenses
from bags.modules.optical_blur import OpticalBlur
from bags.modules.trajectory import Paths, instants
from bags.ops.light import to_linear, to_srgb
from bags.ops.moved_camera import seen_by
from bags.ops.spread import spread
from bags.schedule import Phase
from bags.settings import OptimSettings
from bags.types import Camera, RenderOutput, Splats, ViewBatch

INSTANTS = 16  # of the exposure, at which a point's path across the photo is sampled


class CameraBlur:
    """The blur models ``trajectory``, ``lens`` and ``hybrid``, which has both.

    Args:
        gaussians: to be drawn from the poses of the paths.
        paths: of all photos; None: cameras do not move.
        lenses: of all photos; None: everything is in focus.
        poses: largest number of poses along a path.
        pixels: length of path on the photo per pose.
        linear_light: average linear light instead of sRGB values.
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
        """Render the view from the poses along its path, average the renders, and blur the mean by the lens."""
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
        """Number of poses for the length of the path on the photo: odd and at least 3, so that a path can grow."""
        if self.paths is None:
            return 1
        return min(self.poses, max(3, 2 * math.ceil(blur.path_length() / self.pixels / 2) + 1))

    def _seen(self, view: ViewBatch, camera: Camera, splats: Splats, draw: Draw, times: Tensor) -> list[RenderOutput]:
        """Renders of what the camera sees at ``times`` of the exposure."""
        if self.paths is None:
            return [draw(camera, splats) for _ in times]
        renders = []
        for turn, shift in zip(*self.paths.motion(view.index, times), strict=True):
            moved, posed = seen_by(splats, camera, turn @ camera.rotation, turn @ camera.translation + shift)
            renders.append(draw(posed, moved))
        return renders

    def _variance(self, view: ViewBatch, distance: Tensor) -> Tensor:
        """(H, W) variance of the lens's blur for pixels that show what is at ``distance`` (H, W); 0 without lenses."""
        if self.lenses is None:
            return torch.zeros_like(distance)
        return self.lenses.variance(view.index, distance, view.camera)

    @torch.no_grad()
    def blur_of(self, view: ViewBatch, distance: Tensor, variance: Tensor) -> OpticalBlur:
        """The blur of a view from the ``distance`` that its pixels show and the lens's ``variance``, both (H, W)."""
        times, weights = (part.to(distance) for part in instants(INSTANTS))
        if self.paths is None:
            turns, shifts = torch.eye(3).to(distance).expand(INSTANTS, 3, 3), distance.new_zeros(INSTANTS, 3)
        else:
            turns, shifts = self.paths.motion(view.index, times)
        return OpticalBlur(view.camera, distance, turns, shifts, weights, variance)


def _distance(render: RenderOutput) -> Tensor:
    """(H, W) distance from the camera of what the pixels show, in scene units."""
    return render.depth.detach() / render.alpha.detach().clamp_min(1e-3)
