"""How every training photo's exposure and colours differ from the scene's, learned along with the scene.

A camera that sets its own exposure and white balance shows one wall in other colours from photo to photo. What is
compared with a photo is therefore corrected for it: by a gain, as PPISP does (Deutsch et al. 2026), or by an affine map
of the colours (Rematas et al. 2022, Urban Radiance Fields). The scene itself keeps the photos' mean exposure and
colours, and these are what every other render shows.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from bags.ops.light import to_linear, to_srgb

MIDDLE_GREY = 0.18  # of the light of a white surface: what exposure is measured at


class PhotoCorrections(nn.Module):
    """The corrections of all training photos; at the start exactly none.

    Args:
        num_views: training views.

    Attributes:
        shape: of one photo's numbers, all 0 where nothing is corrected.
        numbers: (num_views, *shape) as the optimiser moves them; ``of`` gives what they mean.
    """

    shape: ClassVar[tuple[int, ...]]

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(num_views, *self.shape))

    def of(self, view: int) -> Tensor:
        """(*shape) The numbers of a view, less the mean over all photos.

        The photos say nothing about that mean: a brighter scene under darker corrections explains them just as well,
        and left alone, a cast drifts in. Subtracting it here is the same as projecting the parameters to zero mean
        after every step, because Adam's steps depend on gradients alone; but no hook has to see to it. To the gradient
        the mean is a constant. Otherwise a photo would receive a small share of the gradients of all others, which
        Adam divides by their own size: photos that are rarely seen would move at the full rate for no reason of theirs.
        """
        return self.numbers[view] - self.numbers.detach().mean(dim=0)

    @torch.no_grad()
    def stops(self, view: int) -> float:
        """By how many stops the view shows middle grey brighter than the scene does; of the mean of three channels."""
        grey = to_srgb(self.numbers.new_full((3, 1, 1), MIDDLE_GREY))
        return float((to_linear(self(view, grey)).mean() / MIDDLE_GREY).clamp_min(1e-6).log2())


class Gains(PhotoCorrections):
    """``gain``: one number a photo, in stops; ``2^stops`` multiplies linear light, as an exposure does."""

    shape = ()

    def forward(self, view: int, prediction: Tensor) -> Tensor:
        """(3, H, W) sRGB values of ``prediction`` (3, H, W) in the exposure of ``view``."""
        light = to_linear(prediction)
        exposed = to_srgb(torch.exp2(self.of(view)) * light)
        with torch.no_grad():  # so that a gain of 1 changes nothing at all
            rounding = prediction - to_srgb(light)
        return exposed + rounding


class ColourMaps(PhotoCorrections):
    """``affine``: a matrix of 3 x 4 numbers a photo, ``c + D (c, 1)`` for the colour c; D is 0 at the start.

    It maps sRGB values and not light. Exposure and white balance are affine there too, except near black (a gain of
    ``g = k^2.4`` is ``k v + 0.055 (k - 1)``), while an offset in light would weigh 12.92 times as much in black.
    """

    shape = (3, 4)

    def forward(self, view: int, prediction: Tensor) -> Tensor:
        """(3, H, W) sRGB values of ``prediction`` (3, H, W) in the colours of ``view``."""
        change = self.of(view)
        return prediction + torch.einsum("ij,jhw->ihw", change[:, :3], prediction) + change[:, 3, None, None]


CORRECTIONS: dict[str, type[PhotoCorrections]] = {"gain": Gains, "affine": ColourMaps}
