"""The path of every training photo's camera while its shutter is open.

As in BAD-Gaussians (Zhao et al. 2024) and CoMoGaussian (Lee et al. 2025), a photo is the mean of renders along a path.
Here the path is a polynomial in time around the photo's known pose, with twelve coefficients at order 2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from bags.ops.geometry import rotation_matrices
from bags.ops.random import normal
from bags.settings import TrajectorySettings

NEAR_MEAN, NEAR_END = 0.25, 0.75  # absolute sines of moments


@lru_cache
def instants(count: int) -> tuple[Tensor, Tensor]:
    """Times (count,) in [-1/2, 1/2] of the exposure and their weights, which sum to 1, by Gauss-Legendre quadrature.

    Means of polynomials in time up to degree ``2 count - 1`` are exact, so a path keeps its spread with few poses. With
    an odd number of them, the middle time is 0.
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.tensor(nodes / 2, dtype=torch.float32), torch.tensor(weights / 2, dtype=torch.float32)


def mean_power(k: int) -> float:
    """Mean over the exposure of the k-th power of the time, u from -1/2 to 1/2."""
    return 0.0 if k % 2 else 0.5**k / (k + 1)


class Paths(nn.Module):
    """The paths of all training photos' cameras.

    Args:
        num_views: number of training views.
        settings: order and initial size.
        extent: of the scene: the unit of translations.
        seed: of the small random initial paths, which break the symmetry between a path and its reverse.
        pixel: angle in radians that a pixel sees at the training resolution. In this unit a step of the optimiser moves
            the image equally far, whatever the resolution and the focal length.

    Attributes:
        coefficients: (num_views, order, 6) per power of time: rotation vector in pixels, translation in pixels times
            extents.
        moments: (num_views,) in radians; where in the exposure the photos' known poses lie. The sine is 0 for the mean
            pose, 1 for the end and -1 for the beginning of the path without its bend. None: the settings say so for
            all.
        learned: (), whether the moments are in use; else all known poses are means. See ``settle``.
        used: (order,) 1 for the powers of time that are in use, else 0: at first, paths are straight. See ``settle``.
    """

    learned: Tensor
    used: Tensor

    def __init__(self, num_views: int, settings: TrajectorySettings, extent: float, seed: int, pixel: float) -> None:
        super().__init__()
        self.extent, self.pixel, self.pose = extent, pixel, settings.pose
        start = normal((num_views, settings.order, 6), seed, 0, "trajectory")
        self.coefficients = nn.Parameter(start * settings.start)
        self.moments = nn.Parameter(torch.zeros(num_views)) if settings.pose == "learned" else None
        self.register_buffer("learned", torch.tensor(settings.pose == "learned"))
        self.register_buffer("used", torch.arange(settings.order).eq(0).float())

    def motion(self, view: int, times: Tensor) -> tuple[Tensor, Tensor]:
        """Turns (T, 3, 3) and shifts (T, 3) of the camera, in its own axes, at ``times`` (T,) of the exposure.

        ``xi(u) = sum_k c_k (u^k - p_k)``, u from -1/2 to 1/2. With p_k the mean of ``u^k``, the known pose is the mean
        over the exposure; with ``p_k = 1/2^k``, it is the one at its end. If moments are learned, that holds for odd k
        only: the bend of a path could move the pose in any direction, and the scene with it. A point at x in the axes
        of the known pose is at ``turn x + shift`` at that time.
        """
        u = times.to(self.coefficients)
        powers = [u**k - self._known_power(k, view) for k in self._orders()]
        return self._moved(view, torch.stack(powers, dim=1))

    @torch.no_grad()
    def mean_pose(self, view: int) -> tuple[Tensor, Tensor]:
        """Turn (3, 3) and shift (3,) from the known pose to the mean over the exposure; see ``motion``."""
        mean = self.coefficients.new_tensor([mean_power(k) for k in self._orders()])
        known = torch.stack([mean.new_zeros(()) + self._known_power(k, view) for k in self._orders()])
        turns, shifts = self._moved(view, (mean - known)[None])
        return turns[0], shifts[0]

    def motion_from_mean(self, view: int, times: Tensor) -> tuple[Tensor, Tensor]:
        """As ``motion``, but from the axes of ``mean_pose``, which gets no gradient."""
        turn, shift = self.mean_pose(view)
        turns, shifts = self.motion(view, times)
        turns = turns @ turn.mT
        return turns, shifts - turns @ shift

    def _orders(self) -> range:
        """The powers of time."""
        return range(1, self.coefficients.shape[1] + 1)

    def _moved(self, view: int, powers: Tensor) -> tuple[Tensor, Tensor]:
        """Turns (T, 3, 3) and shifts (T, 3) for ``powers`` (T, order) of the time, minus those of the known pose."""
        turns, shifts = (powers * self.used @ self.coefficients[view] * self.pixel).split(3, dim=1)
        return rotation_matrices(turns), shifts * self.extent

    @torch.no_grad()
    def variances(self, distances: Tensor) -> Tensor:
        """(num_views,) variance in pixels squared, along one axis, of a path across the middle of its photo.

        Args:
            distances: (num_views,) of what the photos show there, in scene units.
        """
        times, weights = (part.to(self.coefficients) for part in instants(5))
        powers = torch.stack([times**k for k in self._orders()], dim=1)
        turns, shifts = torch.einsum("tk,nkc->tnc", powers * self.used, self.coefficients).split(3, dim=2)
        shifts = shifts * (self.extent / distances)[:, None]  # seen from the camera
        seen = torch.stack([turns[..., 1] + shifts[..., 0], shifts[..., 1] - turns[..., 0]], dim=-1)
        seen = seen - torch.einsum("t,tnc->nc", weights, seen)
        return torch.einsum("t,tnc->n", weights, seen.square()) / 2

    def _known_power(self, k: int, view: int) -> Tensor | float:
        """p_k of the view's path."""
        mean = mean_power(k)
        if self.moments is None:
            return 0.5**k if self.pose == "end" else mean
        return self.moments[view].sin() * self.learned * 0.5**k if k % 2 else mean

    @torch.no_grad()
    def settle(self) -> None:
        """Let paths bend, and decide whether moments are learned on.

        Paths are straight until then. One that learns its length and its bend at the same time may end up folded, out
        and back again, instead of straight and twice as long. That explains the blur nearly as well, and it stays.

        Moments are learned on if more of them are near an end of the exposure than in between. A pose that was found
        from the blurred photo itself is near the mean, but not exact. Its moment then explains some of the error, lies
        anywhere, and the scene would drift with it.
        """
        self.used.fill_(1)
        if self.moments is not None:
            away = self.moments.sin().abs()
            ends, between = away > NEAR_END, (away > NEAR_MEAN) & (away <= NEAR_END)
            self.learned &= ends.sum() > between.sum()
