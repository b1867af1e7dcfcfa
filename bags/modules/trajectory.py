"""Blur as the camera's path while the shutter is open: a photo is the mean of what is seen along it.

As in BAD-Gaussians (Zhao et al. 2024) and CoMoGaussian (Lee et al. 2025) the light of several poses is averaged. Here
the path of a photo is a polynomial in time, twelve numbers at order 2, around the pose that the photo is known by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bags.modules.blur_kind import Kind
from bags.modules.blur_model import Draw, Exposure
from bags.modules.gaussians import Gaussians
from bags.ops.geometry import rotation_matrices
from bags.ops.light import to_linear, to_srgb
from bags.ops.moved_camera import seen_by
from bags.ops.random import normal
from bags.ops.windows import Window
from bags.schedule import Phase
from bags.settings import OptimSettings, TrajectorySettings
from bags.types import Camera, RenderOutput, ViewBatch

INSTANTS = 16  # of the exposure, at which a point's way over the photo is looked at
MAX_SIDE = 65  # of a kernel that is shown


class Paths(nn.Module):
    """The path of every training photo's camera.

    Args:
        num_views: training views.
        settings: poses, order and start.
        extent: of the scene: the unit of translations.
        seed: of the small random paths to start from, without which nothing tells a path from its reverse.

    Attributes:
        coefficients: (num_views, order, 6) rotation vector in radians and translation in extents, per power of time.
    """

    def __init__(self, num_views: int, settings: TrajectorySettings, extent: float, seed: int) -> None:
        super().__init__()
        self.settings, self.extent = settings, extent
        start = normal((num_views, settings.order, 6), seed, 0, "trajectory")
        self.coefficients = nn.Parameter(start * settings.start)

    def motion(self, view: int, count: int) -> tuple[Tensor, Tensor]:
        """Turns (count, 3, 3) and shifts (count, 3) of the camera, in its own axes, at ``count`` instants.

        ``xi(u) = sum_k c_k (u^k - mean u^k)``, u from -1/2 to 1/2 over the exposure, so the known pose is the mean over
        the instants. A point at x in the camera's axes is at ``turn x + shift`` then.
        """
        u = (torch.arange(count, device=self.coefficients.device) + 0.5) / count - 0.5
        powers = torch.stack([u**k - (u**k).mean() for k in range(1, self.settings.order + 1)], dim=1)
        turns, shifts = (powers @ self.coefficients[view]).split(3, dim=1)
        return rotation_matrices(turns), shifts * self.extent


class TrajectoryBlur:
    """The blur model of a camera that moves.

    Args:
        paths: of all photos.
        gaussians: to be drawn from their poses.
        linear_light: average light instead of sRGB values.
    """

    def __init__(self, paths: Paths, gaussians: Gaussians, linear_light: bool) -> None:
        self.paths, self.gaussians, self.linear_light = paths, gaussians, linear_light

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """The paths'."""
        return [{"name": "trajectory", "params": list(self.paths.parameters()), "lr": optim.trajectory}]

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Draw the view from every pose of its path and average; what the middle one sees is the sharp render."""
        splats = self.gaussians.splats()
        renders = []
        for turn, shift in zip(*self.paths.motion(view.index, self.paths.settings.poses), strict=True):
            pose = turn @ camera.rotation, turn @ camera.translation + shift
            moved, posed = seen_by(splats, camera, *pose)
            renders.append(draw(posed, moved))
        light = [to_linear(render.rgb) if self.linear_light else render.rgb for render in renders]
        mean = torch.stack(light).mean(dim=0)
        sharp = renders[len(renders) // 2]
        prediction = to_srgb(mean) if self.linear_light else mean
        return Exposure(sharp.rgb, sharp.depth, sharp.alpha, prediction, self._blur(view, sharp), tuple(renders))

    def rest(self, view: ViewBatch, camera: Camera, draw: Draw) -> Exposure:
        """The view as a camera at rest sees it: nothing is blurred."""
        render = draw(camera)
        still = torch.eye(3).to(render.depth).expand(INSTANTS, 3, 3), render.depth.new_zeros(INSTANTS, 3)
        blur = PathBlur(view.camera, _distance(render), *still)
        return Exposure(render.rgb, render.depth, render.alpha, render.rgb, blur, (render,))

    @torch.no_grad()
    def _blur(self, view: ViewBatch, sharp: RenderOutput) -> PathBlur:
        turns, shifts = self.paths.motion(view.index, INSTANTS)
        return PathBlur(view.camera, _distance(sharp), turns, shifts)


@dataclass(frozen=True)
class PathBlur:
    """What a camera's path does to a photo: each pixel's light comes from along the way of the point it shows.

    Attributes:
        camera: of the photo, or of the part that it is.
        distance: (H, W) of what the pixels show, from the camera, in scene units.
        turns: (T, 3, 3) and shifts (T, 3): ``Paths.motion``.
    """

    camera: Camera
    distance: Tensor
    turns: Tensor
    shifts: Tensor

    @property
    def kind(self) -> Kind:
        """A path is motion, whatever its shape: also where its streaks go round in a circle."""
        return "motion"

    @property
    def mask(self) -> Tensor:
        """(H, W) ones: where the path is short, nothing is blurred."""
        return torch.ones_like(self.distance)

    @property
    def reach(self) -> int:
        """Pixels, by the largest offset on a coarse grid."""
        height, width = self.distance.shape
        rows, columns = (torch.linspace(0, side - 1, 9).round().long() for side in (height, width))
        grid = torch.meshgrid(rows, columns, indexing="ij")
        largest = float(self._offsets(grid[0].flatten(), grid[1].flatten()).abs().max())
        return min(MAX_SIDE // 2, math.ceil(largest) + 1)

    @property
    def kernel_size(self) -> int:
        """Kernel side K."""
        return 2 * self.reach + 1

    def _offsets(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(T, P, 2) where in the sharp photo, seen from each pixel, its light comes from at each instant; (x, y)."""
        camera, distance = self.camera, self.distance[rows, columns]
        pixels = torch.stack([columns, rows], dim=-1).to(distance)
        middle, focal = pixels.new_tensor([camera.cx, camera.cy]), pixels.new_tensor([camera.fx, camera.fy])
        rays = torch.cat([(pixels - middle) / focal, torch.ones_like(pixels[:, :1])], dim=-1)
        points = rays * (distance / rays.norm(dim=-1))[:, None]
        before = (points - self.shifts[:, None]) @ self.turns  # turn^T (x - shift)
        seen = before[..., :2] / before[..., 2:].clamp_min(1e-6) * focal + middle
        return seen - pixels

    def kernels_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(P, K, K) the way of each pixel's light, each instant shared among the four pixels around it."""
        reach = self.reach
        side = 2 * reach + 1
        places = (self._offsets(rows, columns) + reach).clamp(0, side - 1)
        low = places.floor().clamp(max=side - 2)
        part = places - low
        kernels = places.new_zeros(len(rows), side * side)
        for down in (0, 1):
            for right in (0, 1):
                index = ((low[..., 1] + down) * side + low[..., 0] + right).long()
                weight = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
                kernels.scatter_add_(1, index.T, weight.T / len(places))
        return kernels.unflatten(1, (side, side))

    def moments(self, every: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (2, h, w) and covariance (3, h, w) of the ways in pixels, of every so many rows and columns."""
        height, width = self.distance.shape
        rows, columns = (torch.arange(0, side, every, device=self.distance.device) for side in (height, width))
        grid = torch.meshgrid(rows, columns, indexing="ij")
        offsets = self._offsets(grid[0].flatten(), grid[1].flatten())
        mean = offsets.mean(dim=0)
        x, y = (offsets - mean).unbind(-1)
        covariance = torch.stack([(x * x).mean(0), (x * y).mean(0), (y * y).mean(0)])
        return tuple(moment.unflatten(1, grid[0].shape) for moment in (mean.T, covariance))

    def room(self, height: int, width: int) -> PathBlur:
        """Room for the blur of the photo of which this is a part, for ``take`` to fill."""
        (left, top), camera = self.camera.corner, self.camera
        whole = camera.cropped(-left, -top, width, height)
        return replace(self, camera=whole, distance=self.distance.new_empty(height, width))

    def take(self, part: PathBlur, window: Window) -> None:
        """Copy what the pixels ``window`` show, in place."""
        window.of(self.distance).copy_(part.distance)


def _distance(render: RenderOutput) -> Tensor:
    """(H, W) of what the pixels show from the camera, in scene units."""
    return render.depth.detach() / render.alpha.detach().clamp_min(1e-3)
