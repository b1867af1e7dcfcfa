"""What a moving camera and its lens do to a photo, seen as kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bags.modules.blur_kind import Kind
from bags.ops.path_blur import NEAREST, projections_along
from bags.ops.windows import Window
from bags.types import Camera

MAX_SIDE = 65  # of a kernel that is shown
PIXEL = 1 / 6  # variance of a pixel's own spread when a point between pixels is shared among them
FOLLOWS_DEPTH = 0.25  # standard deviation of a lens's spread over a photo, over its mean; above it: out of focus


@dataclass(frozen=True)
class OpticalBlur:
    """Each pixel's light comes from along the way of the point it shows, and from around it as far as the lens spreads.

    Attributes:
        camera: of the photo, or of the part that it is.
        distance: (H, W) of what the pixels show, from the camera, in scene units.
        turns: (T, 3, 3), shifts: (T, 3): of the camera (``Paths.motion``), and weights: (T,) of these instants.
        variance: (H, W) of the lens's Gaussian along one axis, pixels squared.
    """

    camera: Camera
    distance: Tensor
    turns: Tensor
    shifts: Tensor
    weights: Tensor
    variance: Tensor

    @property
    def kind(self) -> Kind:
        """By what spreads the light more. A lens's blur is of low resolution where depth does not change it."""
        _, covariance = self._path_moments(*self._grid())
        if float((covariance[0] + covariance[2]).mean()) > float(2 * self.variance.mean()):
            return "motion"
        spread = self.variance.sqrt()
        return "defocus" if float(spread.std()) > FOLLOWS_DEPTH * float(spread.mean()) else "low_resolution"

    @property
    def mask(self) -> Tensor:
        """(H, W) ones: where path and lens spread little, nothing is blurred."""
        return torch.ones_like(self.distance)

    @property
    def reach(self) -> int:
        """Pixels, by the largest offset and spread on a coarse grid."""
        largest = float(self._offsets(*self._grid()).abs().max()) + 3 * float(self.variance.max()) ** 0.5
        return min(MAX_SIDE // 2, math.ceil(largest) + 1)

    @property
    def kernel_size(self) -> int:
        """Kernel side K."""
        return 2 * self.reach + 1

    def _grid(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of a few pixels all over the photo."""
        rows, columns = (torch.linspace(0, side - 1, 9).round().long() for side in self.distance.shape)
        return tuple(axis.flatten() for axis in torch.meshgrid(rows, columns, indexing="ij"))  # type: ignore[return-value]

    def _offsets(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(T, P, 2) where in the sharp photo, seen from each pixel, its light comes from at each instant; (x, y)."""
        camera = self.camera
        points = points_seen(camera, self.distance)[rows, columns]
        ways = projections_along(self.turns, self.shifts, (camera.fx, camera.fy), (camera.cx, camera.cy))
        seen = torch.einsum("tij,pj->tpi", ways[..., :3], points) + ways[:, None, :, 3]
        return seen[..., :2] / seen[..., 2:].clamp_min(NEAREST) - torch.stack([columns, rows], dim=-1)

    def path_length(self) -> float:
        """Of the longest way on a coarse grid, from end to end, in pixels."""
        offsets = self._offsets(*self._grid())
        return float((offsets.amax(0) - offsets.amin(0)).norm(dim=-1).max())

    def kernels_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(P, K, K) the way of each pixel's light, spread by the lens and shared among the pixels around it."""
        reach = self.reach
        axis = torch.arange(-reach, reach + 1).to(self.distance)
        away = (axis - self._offsets(rows, columns).clamp(-reach, reach)[..., None]).square()  # (T, P, 2, K)
        wide = 2 * (self.variance[rows, columns] + PIXEL)[:, None]
        across, down = (torch.exp(-away[:, :, which] / wide) for which in (0, 1))
        kernels = torch.einsum("t,tpi,tpj->pij", self.weights, down, across)
        return kernels / kernels.sum(dim=(1, 2), keepdim=True)

    def _path_moments(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (2, P) and covariance (3, P) of the ways in pixels."""
        offsets, weights = self._offsets(rows, columns), self.weights[:, None]
        mean = torch.einsum("t,tpc->pc", self.weights, offsets)
        x, y = (offsets - mean).unbind(-1)
        return mean.T, torch.stack([(weights * one * other).sum(0) for one, other in ((x, x), (x, y), (y, y))])

    def moments(self, every: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (2, h, w) and covariance (3, h, w) of ways and lens in pixels, of every so many rows and columns."""
        height, width = self.distance.shape
        rows, columns = (torch.arange(0, side, every, device=self.distance.device) for side in (height, width))
        grid = torch.meshgrid(rows, columns, indexing="ij")
        mean, covariance = self._path_moments(grid[0].flatten(), grid[1].flatten())
        round_ = torch.tensor([1.0, 0.0, 1.0]).to(covariance)[:, None] * self.variance[grid].flatten()
        return mean.unflatten(1, grid[0].shape), (covariance + round_).unflatten(1, grid[0].shape)

    def room(self, height: int, width: int) -> OpticalBlur:
        """Room for the blur of the photo of which this is a part, for ``take`` to fill."""
        (left, top), camera = self.camera.corner, self.camera
        whole = camera.cropped(-left, -top, width, height)
        distance, variance = (self.distance.new_empty(height, width) for _ in range(2))
        return replace(self, camera=whole, distance=distance, variance=variance)

    def take(self, part: OpticalBlur, window: Window) -> None:
        """Copy what the pixels ``window`` show, and how far the lens spreads it, in place."""
        window.of(self.distance).copy_(part.distance)
        window.of(self.variance).copy_(part.variance)


def points_seen(camera: Camera, distance: Tensor) -> Tensor:
    """(H, W, 3) in the camera's axes: what its pixels show, which lies at ``distance`` (H, W) from it."""
    x = (torch.arange(camera.width).to(distance) - camera.cx) / camera.fx
    y = (torch.arange(camera.height).to(distance) - camera.cy) / camera.fy
    rays = torch.stack(torch.broadcast_tensors(x, y[:, None], torch.ones_like(distance)), dim=-1)
    return rays * (distance / rays.norm(dim=-1))[..., None]
