"""How far every training photo is out of focus, from the depth of what it shows.

A lens of aperture A focused at distance F spreads a point at distance d over a circle of confusion whose size is
proportional to ``A |1/d - 1/F|`` (Potmesil and Chakravarty 1981). As in DoF-Gaussian (Shen et al. 2025), A and F are
learned for each photo. A Gaussian of constant variance is added for a lens or sensor that is not sharp at any distance.
"""

from __future__ import annotations

from torch import Tensor, nn

from bags.ops.random import normal
from bags.settings import LensSettings
from bags.types import Camera

NEAREST = 10.0  # largest D / d; nearer points are treated as being at that distance


class Lenses(nn.Module):
    """The lenses of all training photos.

    Args:
        num_views: number of training views.
        settings: initial values.
        centre: (3,) of the scene, in scene units.
        seed: of the small random initial values: an exactly focused lens has zero gradient and would stay in focus.
        pixel: angle in radians that a pixel sees at the training resolution.

    Attributes:
        numbers: (num_views, 3) a, b and c, in these pixels: at distance d, the disc has the standard deviation
            ``abs(a (D / d - 1) + b)`` along one axis, half its radius, and the Gaussian has c. So a is the aperture,
            and points where the sum is 0 are in focus. D is the camera's distance from the scene's centre: a changes
            the blur of near and far points only, b that of all.
        centre: (3,), saved in the checkpoint.
    """

    centre: Tensor

    def __init__(self, num_views: int, settings: LensSettings, centre: Tensor, seed: int, pixel: float) -> None:
        super().__init__()
        self.pixel = pixel
        numbers = normal((num_views, 3), seed, 0, "lens") * settings.start
        numbers[:, 2] = settings.start
        self.numbers = nn.Parameter(numbers)
        self.register_buffer("centre", centre)

    def variances(self) -> Tensor:
        """(num_views,) variance along one axis in pixels squared, at the distance of the scene's centre."""
        return self.numbers.detach()[:, 1:].square().sum(1)

    def variance(self, view: int, distance: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """Variances along one axis in pixels squared, for points at ``distance`` (H, W) in scene units.

        Returns:
            (H, W) of the disc, and () of the Gaussian.
        """
        a, b, c = self.numbers[view] * self.pixel
        middle = (camera.center - self.centre).norm()
        near = (middle / distance.clamp_min(1e-6)).clamp(max=NEAREST)
        square = camera.fx * camera.fy
        return (a * (near - 1) + b).square() * square, c.square() * square
