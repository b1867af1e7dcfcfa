"""How far every training photo is out of focus, from the depth of what it shows.

A lens of aperture A focused at distance F spreads a point at distance d over a circle of confusion that grows with
``A |1/d - 1/F|`` (Potmesil and Chakravarty 1981); as in DoF-Gaussian (Shen et al. 2025) A and F are learned for each
photo. Here the circle is a Gaussian, whose variance adds to one that is the same all over the photo: that of a lens or
a sensor that is not sharp anywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bags.ops.random import normal
from bags.settings import LensSettings
from bags.types import Camera

NEAREST = 10.0  # D / d: what is nearer counts as that near


class Lenses(nn.Module):
    """The lenses of all training photos.

    Args:
        num_views: training views.
        settings: start.
        seed: of the small random numbers to start from: a lens that is exactly in focus would never leave it.

    Attributes:
        numbers: (num_views, 3) a, b and c, in radians: the standard deviation of the blur at distance d is
            ``sqrt((a (D / d - 1) + b)^2 + c^2)``. So a is the aperture, and in focus is what makes the bracket 0.
        middle: (num_views,) the distance D in scene units, that of the photo's middle when it was first seen: so that
            a changes the blur of near and far, b that of all; 0 before.
    """

    middle: Tensor

    def __init__(self, num_views: int, settings: LensSettings, seed: int) -> None:
        super().__init__()
        numbers = normal((num_views, 3), seed, 0, "lens") * settings.start
        numbers[:, 2] = settings.start
        self.numbers = nn.Parameter(numbers)
        self.register_buffer("middle", torch.zeros(num_views))

    def variance(self, view: int, distance: Tensor, camera: Camera) -> Tensor:
        """(H, W) along one axis, in the camera's pixels squared, of what lies at ``distance`` (H, W), scene units."""
        a, b, c = self.numbers[view]
        middle = torch.where(self.middle[view] > 0, self.middle[view], distance.median())
        self.middle[view] = middle
        near = (middle / distance.clamp_min(1e-6)).clamp(max=NEAREST)
        return ((a * (near - 1) + b).square() + c.square()) * (camera.fx * camera.fy)
