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
        mean_powers: (order,) mean over the exposure of ``u^k``, the powers of time from 1 on, u from -1/2 to 1/2.
        end_powers: (order,) those at the end of the exposure.
    """

    learned: Tensor
    used: Tensor
    mean_powers: Tensor
    end_powers: Tensor

    def __init__(self, num_views: int, settings: TrajectorySettings, extent: float, seed: int, pixel: float) -> None:
        super().__init__()
        self.extent, self.pixel, self.pose = extent, pixel, settings.pose
        start = normal((num_views, settings.order, 6), seed, 0, "trajectory")
        self.coefficients = nn.Parameter(start * settings.start)
        self.moments = nn.Parameter(torch.zeros(num_views)) if settings.pose == "learned" else None
        self.register_buffer("learned", torch.tensor(settings.pose == "learned"))
        self.register_buffer("used", torch.arange(settings.order).eq(0).float())
        orders = torch.arange(1, settings.order + 1)
        ends = 0.5**orders
        self.register_buffer("end_powers", ends, persistent=False)
        self.register_buffer("mean_powers", torch.where(orders % 2 == 1, 0, ends / (orders + 1)), persistent=False)

    def motion(self, view: int, times: Tensor) -> tuple[Tensor, Tensor]:
        """Turns (T, 3, 3) and shifts (T, 3) of the camera, in its own axes, at ``times`` (T,) of the exposure.

        ``xi(u) = sum_k c_k (u^k - p_k)``, u from -1/2 to 1/2. With p_k the mean of ``u^k``, the known pose is the mean
        over the exposure; with ``p_k = 1/2^k``, it is the one at its end. If moments are learned, that holds for odd k
        only: the bend of a path could move the pose in any direction, and the scene with it. A point at x in the axes
        of the known pose is at ``turn x + shift`` at that time.
        """
        return self._moved(view, self._powers(times))

    @torch.no_grad()
    def mean_pose(self, view: int) -> tuple[Tensor, Tensor]:
        """Turn (3, 3) and shift (3,) from the known pose to the mean over the exposure; see ``motion``."""
        turns, shifts = self._moved(view, self.mean_powers[None])
        return turns[0], shifts[0]

    def motion_from_mean(self, view: int, times: Tensor) -> tuple[Tensor, Tensor]:
        """As ``motion``, but from the axes of ``mean_pose``, which gets no gradient."""
        turns, shifts = self._moved(view, torch.cat([self._powers(times), self.mean_powers[None]]))
        turn, shift = turns[-1].detach(), shifts[-1].detach()
        turns = turns[:-1] @ turn.mT
        return turns, shifts[:-1] - turns @ shift

    def _powers(self, times: Tensor) -> Tensor:
        """(T, order) powers of ``times`` (T,)."""
        orders = range(1, self.coefficients.shape[1] + 1)
        return torch.stack([times.to(self.coefficients) ** k for k in orders], dim=1)

    def _known_powers(self, view: int) -> Tensor:
        """(order,) p_k of the view's path; see ``motion``."""
        if self.moments is None:
            return self.end_powers if self.pose == "end" else self.mean_powers
        odd = self.mean_powers == 0
        return torch.where(odd, self.moments[view].sin() * self.learned * self.end_powers, self.mean_powers)

    def _moved(self, view: int, powers: Tensor) -> tuple[Tensor, Tensor]:
        """Turns (T, 3, 3) and shifts (T, 3) from the known pose to those with ``powers`` (T, order) of the time."""
        away = (powers - self._known_powers(view)) * self.used
        turns, shifts = (away @ self.coefficients[view] * self.pixel).split(3, dim=1)
        return rotation_matrices(turns), shifts * self.extent

    @torch.no_grad()
    def variances(self, distances: Tensor) -> Tensor:
        """(num_views,) variance in pixels squared, along one axis, of a path across the middle of its photo.

        Args:
            distances: (num_views,) of what the photos show there, in scene units.
        """
        times, weights = (part.to(self.coefficients) for part in instants(5))
        turns, shifts = torch.einsum("tk,nkc->tnc", self._powers(times) * self.used, self.coefficients).split(3, dim=2)
        shifts = shifts * (self.extent / distances)[:, None]  # seen from the camera
        seen = torch.stack([turns[..., 1] + shifts[..., 0], shifts[..., 1] - turns[..., 0]], dim=-1)
        seen = seen - torch.einsum("t,tnc->nc", weights, seen)
        return torch.einsum("t,tnc->n", weights, seen.square()) / 2

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
