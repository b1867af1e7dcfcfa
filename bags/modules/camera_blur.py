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
from bags.modules.lens import Lenses
from bags.modules.optical_blur import OpticalBlur, points_seen, shared_out
from bags.modules.trajectory import Paths, instants
from bags.ops.defocus import defocus
from bags.ops.light import to_linear, to_srgb
from bags.ops.path_blur import path_blur, projections_along
from bags.ops.spread import spread
from bags.schedule import Phase
from bags.settings import OptimSettings, TrajectorySettings
from bags.types import Camera, ViewBatch

INSTANTS = 16  # of the exposure, at which a point's path across the photo is sampled
EMPTY = 0.01  # opacity up to which a pixel shows nothing
MARGIN = 24  # width of the photo over that of the margin around the render, for what a moving camera sees


class CameraBlur:
    """The blur models ``trajectory``, ``lens`` and ``hybrid``, which has both.

    Args:
        paths: of all photos; None: cameras do not move.
        lenses: of all photos; None: everything is in focus.
        settings: how finely a path is sampled.
        linear_light: average linear light instead of sRGB values.
    """

    def __init__(
        self, paths: Paths | None, lenses: Lenses | None, settings: TrajectorySettings, linear_light: bool
    ) -> None:
        self.paths, self.lenses, self.settings, self.linear_light = paths, lenses, settings, linear_light

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Those of the paths and of the lenses."""
        groups: list[tuple[str, Tensor | None, float]] = []
        if self.paths is not None:
            groups += [
                ("trajectory", self.paths.coefficients, optim.trajectory),
                ("moment", self.paths.moments, optim.moment),
            ]
        if self.lenses is not None:
            groups += [("lens", self.lenses.numbers, optim.lens)]
        return [
            {"name": name, "params": [numbers], "lr": rate, "final": rate * optim.camera_final}
            for name, numbers, rate in groups
            if numbers is not None
        ]

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Render the view sharp with a margin, blur it along the camera's path, and then by the lens.

        It is rendered from the middle of the path, wherever on it the known pose is: so its pixels have the shortest
        ways to go, and the least of what they pass is hidden.
        """
        margin = 0
        if self.paths is not None:
            margin = -(-view.camera.photo_size[0] // MARGIN)
            camera = camera.moved(*self.paths.mean_pose(view.index))
        render = draw(camera.padded(margin))
        sharp, depth, alpha = render.without_margin(margin)
        distance = distance_of(depth, alpha)
        disc, soft = self._variances(view, distance)
        blur = self.blur_of(view, distance, disc.detach(), soft.detach())
        light = to_linear(render.rgb) if self.linear_light else render.rgb
        if self.paths is not None:
            times, weights = (part.to(light) for part in instants(self.instants_of(blur)))
            middle = camera.cx + margin, camera.cy + margin
            motion = self.paths.motion_from_mean(view.index, times)
            ways = projections_along(*motion, (camera.fx, camera.fy), middle)
            light = path_blur(light, points_seen(camera, distance), ways, weights)
        if self.lenses is not None:
            small, large = shared_out(disc)
            light = defocus(spread(light, soft + small), large, distance)
        prediction = to_srgb(light) if self.linear_light else light
        return Exposure(sharp, depth, alpha, prediction, blur, (render,))

    def rest(self, view: ViewBatch, camera: Camera, draw: Draw) -> Exposure:
        """The view as a camera at rest and in focus sees it: nothing is blurred."""
        render = draw(camera)
        distance = distance_of(render.depth, render.alpha)
        still = torch.eye(3).to(distance)[None], distance.new_zeros(1, 3), distance.new_ones(1)
        blur = OpticalBlur(view.camera, distance, *still, torch.zeros_like(distance), distance.new_zeros(()))
        return Exposure(render.rgb, render.depth, render.alpha, render.rgb, blur, (render,))

    def instants_of(self, blur: OpticalBlur) -> int:
        """Number of instants for the length of the path on the photo: odd and at least 3, so that a path can grow."""
        settings = self.settings
        return min(settings.instants, max(3, 2 * math.ceil(blur.path_length() / settings.pixels / 2) + 1))

    def _variances(self, view: ViewBatch, distance: Tensor) -> tuple[Tensor, Tensor]:
        """(H, W) of the lens's disc and () of its Gaussian, for pixels that show what is at ``distance`` (H, W)."""
        if self.lenses is None:
            return torch.zeros_like(distance), distance.new_zeros(())
        return self.lenses.variance(view.index, distance, view.camera)

    @torch.no_grad()
    def blur_of(self, view: ViewBatch, distance: Tensor, disc: Tensor, soft: Tensor) -> OpticalBlur:
        """The blur of a view.

        Args:
            view: the photo, or a window of it.
            distance: (H, W) of what its pixels show.
            disc: (H, W) variance of the lens's disc.
            soft: () variance of its Gaussian.
        """
        times, weights = (part.to(distance) for part in instants(INSTANTS))
        if self.paths is None:
            turns, shifts = torch.eye(3).to(distance).expand(INSTANTS, 3, 3), distance.new_zeros(INSTANTS, 3)
        else:
            turns, shifts = self.paths.motion_from_mean(view.index, times)
        return OpticalBlur(view.camera, distance, turns, shifts, weights, disc, soft)


def distance_of(depth: Tensor, alpha: Tensor) -> Tensor:
    """(H, W) distance from the camera of what the pixels show, in scene units, without gradients.

    A pixel that shows next to nothing gets the mean distance of the others. Otherwise its distance would be about 0,
    any motion of the camera would move it by thousands of pixels, and it would dominate the gradient of the path.

    Args:
        depth: (H, W) of a render: the sum of distances, weighted by opacity.
        alpha: (H, W) its opacity.
    """
    depth, alpha = depth.detach(), alpha.detach()
    opacity = alpha.sum()
    mean = torch.where(opacity > EMPTY, depth.sum() / opacity.clamp_min(EMPTY), 1.0)
    return torch.where(alpha > EMPTY, depth / alpha.clamp_min(EMPTY), mean)
