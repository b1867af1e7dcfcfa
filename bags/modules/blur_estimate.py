"""What the blur model says about a view: how much blur, of what kind, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bags.modules.blur_kind import Kind, blur_field
from bags.modules.blur_model import Blur

PIXELS = 300_000  # enough for a mean: of a larger view only every n-th row and column is used


@dataclass(frozen=True)
class BlurEstimate:
    """A view's blur as the model sees it. Lengths are in pixels of the training resolution.

    Attributes:
        mask: mean of the mask, in [0, 1]; None if the model has none.
        spread: root mean square spread of the effective kernels ``m w + (1 - m) delta``, averaged where the photo has
            detail, since nothing constrains a kernel on a uniform surface.
        kind: of blur (``bags.modules.blur_kind``).
        length: of the streak, for motion; else 0.
        direction: of the streak in degrees, [0, 180), 0 = along +x, 90 = along +y, for motion; else 0.
        radius: of the disc, root mean square over the photo, for defocus; else 0.
    """

    mask: float | None
    spread: float
    kind: Kind
    length: float = 0.0
    direction: float = 0.0
    radius: float = 0.0


def estimate_blur(proposal: Blur, sharp: Tensor, depth: Tensor) -> BlurEstimate:
    """Estimate the blur of one view.

    Args:
        proposal: of the view at full training resolution.
        sharp: (3, H, W) sharp render of the view; its gradients show where there is detail.
        depth: (H, W) its depth.
    """
    mask = proposal.mask.detach()
    every = max(1, math.ceil((mask.numel() / PIXELS) ** 0.5))
    some = (..., slice(None, None, every), slice(None, None, every))
    _, covariance = proposal.moments(every)
    field = blur_field(covariance, gradient(sharp.detach())[some], depth[some], mask[some])
    kind = proposal.kind or field.kind
    shaken, unfocused = kind == "motion", kind == "defocus"
    return BlurEstimate(
        mask=float(mask.mean()) if proposal.has_mask else None,
        spread=field.spread,
        kind=kind,
        length=field.length if shaken else 0.0,
        direction=field.direction if shaken else 0.0,
        radius=field.radius if unfocused else 0.0,
    )


def gradient(image: Tensor) -> Tensor:
    """(2, H, W) central differences (x, y) of the grey values of a (3, H, W) image; one-sided at its borders."""
    grey = image.mean(dim=0)
    y, x = (torch.gradient(grey, dim=axis)[0] if grey.shape[axis] > 1 else torch.zeros_like(grey) for axis in (0, 1))
    return torch.stack([x, y])
