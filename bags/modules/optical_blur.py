"""The blur of a moving camera and its lens, as a kernel per pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from bags.modules.blur_kind import LINE_ROUNDNESS, Kind
from bags.ops.defocus import LARGEST, disc_kernels
from bags.ops.path_blur import places_of, projections_along
from bags.ops.windows import Window
from bags.types import Camera

MAX_SIDE = 65  # of a displayed kernel
PIXEL = 1 / 6  # variance added when a point between pixels is distributed over them
SMALL = 0.25  # variance up to which a disc is drawn as a Gaussian: smaller ones lie in a single pixel
SHARP_SPREAD = 0.2  # pixels, root mean square; below it: sharp. Sharp photos have up to 0.02
FOLLOWS_DEPTH = 0.25  # relative standard deviation of a round blur's width over a photo; above it: defocus


@dataclass(frozen=True)
class OpticalBlur:
    """Each pixel averages the path of the point it shows across the photo, spread by the lens.

    Attributes:
        camera: of the photo, or of this part of it.
        distance: (H, W) from the camera to what the pixels show, in scene units.
        turns, shifts: (T, 3, 3) and (T, 3) motion of the camera at T instants (``Paths.motion``).
        weights: (T,) of these instants.
        disc: (H, W) variance of the lens's disc along one axis, in pixels squared.
        soft: () variance of its Gaussian.
    """

    camera: Camera
    distance: Tensor
    turns: Tensor
    shifts: Tensor
    weights: Tensor
    disc: Tensor
    soft: Tensor

    @property
    def variance(self) -> Tensor:
        """(H, W) variance of the lens's blur along one axis, in pixels squared."""
        return self.disc + self.soft

    @property
    def kind(self) -> Kind:
        """By path and lens together: sharp, motion if they smear along a line, defocus if their width follows depth.

        The path alone does not tell: a bent one may help to explain a round blur.
        """
        rows, columns = self._grid()
        _, (xx, xy, yy) = self._path_moments(rows, columns)
        middle, half = (xx + yy) / 2 + self.variance[rows, columns], torch.hypot((xx - yy) / 2, xy)
        if float(2 * middle.mean()) < SHARP_SPREAD**2:
            return "sharp"
        if float((middle - half).mean()) < LINE_ROUNDNESS * float((middle + half).mean()):
            return "motion"
        spread = middle.sqrt()
        return "defocus" if float(spread.std()) > FOLLOWS_DEPTH * float(spread.mean()) else "low_resolution"

    @property
    def mask(self) -> Tensor:
        """(H, W) ones: the kernels alone describe this blur."""
        return torch.ones_like(self.distance)

    @property
    def has_mask(self) -> bool:
        """False."""
        return False

    @property
    def reach(self) -> int:
        """Radius of the kernels in pixels, from the largest offset and spread on a coarse grid."""
        largest = float(self._offsets(*self._grid()).abs().max()) + 3 * float(self.variance.max()) ** 0.5
        return min(MAX_SIDE // 2, math.ceil(largest) + 1)

    @property
    def kernel_size(self) -> int:
        """Kernel side K."""
        return 2 * self.reach + 1

    def _grid(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of a coarse grid of pixels over the photo."""
        rows, columns = (torch.linspace(0, side - 1, 9).round().long() for side in self.distance.shape)
        return tuple(axis.flatten() for axis in torch.meshgrid(rows, columns, indexing="ij"))  # type: ignore[return-value]

    def _offsets(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(T, P, 2) offsets (x, y) from each pixel to the place in the sharp image it sees at each instant."""
        camera = self.camera
        points = points_at(camera, rows, columns, self.distance[rows, columns])
        ways = projections_along(self.turns, self.shifts, (camera.fx, camera.fy), (camera.cx, camera.cy))
        return places_of(points, ways) - torch.stack([columns, rows], dim=-1)

    def path_length(self) -> float:
        """Length in pixels, from end to end, of the longest path of a point on a coarse grid; NaN counts as 0."""
        offsets = self._offsets(*self._grid())
        return float((offsets.amax(0) - offsets.amin(0)).norm(dim=-1).nan_to_num().max())

    def largest_around(self, values: Tensor) -> Tensor:
        """(H, W) largest of ``values`` (H, W) within the radius of the largest disc: those whose light may arrive."""
        reach = round(min(LARGEST, 2 * float(self.disc.nan_to_num().max()) ** 0.5))
        for window in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
            values = max_pool2d(values[None], window, stride=1, padding=(window[0] // 2, window[1] // 2))[0]
        return values

    def kernels_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(P, K, K) kernels at the given pixels: each point's path, spread by the lens and sampled at whole pixels."""
        reach = self.reach
        axis = torch.arange(-reach, reach + 1).to(self.distance)
        away = (axis - self._offsets(rows, columns).clamp(-reach, reach)[..., None]).square()  # (T, P, 2, K)
        small, large = shared_out(self.disc[rows, columns])
        wide = 2 * (self.soft + small + PIXEL)[:, None]
        across, down = (torch.exp(-away[:, :, which] / wide) for which in (0, 1))
        kernels = torch.einsum("t,tpi,tpj->pij", self.weights, down, across)
        kernels = conv2d(kernels[None], disc_kernels(large, reach)[:, None], padding=reach, groups=len(rows))[0]
        return kernels / kernels.sum(dim=(1, 2), keepdim=True)

    def _path_moments(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (2, P) in pixels and covariance (3, P) in pixels squared of the paths."""
        offsets, weights = self._offsets(rows, columns), self.weights[:, None]
        mean = torch.einsum("t,tpc->pc", self.weights, offsets)
        x, y = (offsets - mean).unbind(-1)
        return mean.T, torch.stack([(weights * one * other).sum(0) for one, other in ((x, x), (x, y), (y, y))])

    def moments(self, every: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (2, h, w) and covariance (3, h, w) of paths and lens in pixels, of every ``every``-th row and column."""
        height, width = self.distance.shape
        rows, columns = (torch.arange(0, side, every, device=self.distance.device) for side in (height, width))
        grid = torch.meshgrid(rows, columns, indexing="ij")
        mean, covariance = self._path_moments(grid[0].flatten(), grid[1].flatten())
        round_ = torch.tensor([1.0, 0.0, 1.0]).to(covariance)[:, None] * self.variance[grid].flatten()
        return mean.unflatten(1, grid[0].shape), (covariance + round_).unflatten(1, grid[0].shape)

    def room(self, height: int, width: int) -> OpticalBlur:
        """An uninitialised blur of the whole photo, of which this one is a part; ``take`` fills it."""
        (left, top), camera = self.camera.corner, self.camera
        whole = camera.cropped(-left, -top, width, height)
        distance, disc = (self.distance.new_empty(height, width) for _ in range(2))
        return replace(self, camera=whole, distance=distance, disc=disc)

    def take(self, part: OpticalBlur, window: Window) -> None:
        """Copy distance and disc of ``part``, the pixels in ``window``, in place."""
        window.of(self.distance).copy_(part.distance)
        window.of(self.disc).copy_(part.disc)


def shared_out(disc: Tensor) -> tuple[Tensor, Tensor]:
    """The variance of a lens's discs as that of small ones, which ``spread`` draws, and of large ones (``defocus``)."""
    small = disc.clamp(max=SMALL)
    return small, disc - small


def points_seen(camera: Camera, distance: Tensor) -> Tensor:
    """(H, W, 3) in the camera's axes: what its pixels show, which lies at ``distance`` (H, W) from it."""
    rows, columns = (torch.arange(side, device=distance.device) for side in distance.shape)
    return points_at(camera, rows[:, None], columns, distance)


def points_at(camera: Camera, rows: Tensor, columns: Tensor, distance: Tensor) -> Tensor:
    """(..., 3) as ``points_seen``, of the pixels in ``rows`` and ``columns``; all three tensors broadcast."""
    x = (columns.to(distance) - camera.cx) / camera.fx
    y = (rows.to(distance) - camera.cy) / camera.fy
    rays = torch.stack(torch.broadcast_tensors(x, y, torch.ones_like(distance)), dim=-1)
    return rays * (distance / rays.norm(dim=-1))[..., None]
