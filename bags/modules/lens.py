"""How far every training photo is out of focus, from the depth of what it shows.

A lens of aperture A focused at distance F spreads a point at distance d over a circle of confusion that grows with
``A |1/d - 1/F|`` (Potmesil and Chakravarty 1981); as in DoF-Gaussian (Shen et al. 2025) A and F are learned for each
photo. Here the circle is a Gaussian, whose variance adds to one that is the same all over the photo: that of a lens or
a sensor that is not sharp anywhere.
"""

from __future__ import annotations

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
        centre: (3,) of the scene, in its units.
        seed: of the small random numbers to start from: a lens that is exactly in focus would never leave it.

    Attributes:
        numbers: (num_views, 3) a, b and c, in radians: the standard deviation of the blur at distance d is
            ``sqrt((a (D / d - 1) + b)^2 + c^2)``. So a is the aperture, and in focus is what makes the bracket 0.
            D is the camera's distance from the scene's centre, so that a changes the blur of near and far, b that of
            all.
        centre: (3,), kept with the checkpoint.
    """

    centre: Tensor

    def __init__(self, num_views: int, settings: LensSettings, centre: Tensor, seed: int) -> None:
        super().__init__()
        numbers = normal((num_views, 3), seed, 0, "lens") * settings.start
        numbers[:, 2] = settings.start
        self.numbers = nn.Parameter(numbers)
        self.register_buffer("centre", centre)

    def variance(self, view: int, distance: Tensor, camera: Camera) -> Tensor:
        """(H, W) along one axis, in the camera's pixels squared, of what lies at ``distance`` (H, W), scene units."""
        a, b, c = self.numbers[view]
        middle = (camera.center - self.centre).norm()
        near = (middle / distance.clamp_min(1e-6)).clamp(max=NEAREST)
        return ((a * (near - 1) + b).square() + c.square()) * (camera.fx * camera.fy)
