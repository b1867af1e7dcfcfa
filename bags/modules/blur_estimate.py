"""What the Blur Proposal Network says of a view: how much blur, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bags.modules.bpn import Proposal
from bags.ops.kernel_moments import kernel_moments

PIXELS = 300_000  # of a larger view, every n-th row and column are looked at: these are plenty for a mean


@dataclass(frozen=True)
class BlurEstimate:
    """A view's blur as the network sees it.

    Attributes:
        mask: mean of the mask, in [0, 1].
        spread: root mean square spread of the effective kernels ``m w + (1 - m) delta``, in pixels of the training
            resolution; averaged where the photo has detail, since nothing constrains a kernel on an even surface.
    """

    mask: float
    spread: float


def estimate_blur(proposal: Proposal, sharp: Tensor) -> BlurEstimate:
    """Judge one view.

    Args:
        proposal: of the view at full training resolution.
        sharp: (3, H, W) sharp render of the view; its gradients tell where there is detail.
    """
    mask = proposal.mask.detach()
    every = max(1, math.ceil((mask.numel() / PIXELS) ** 0.5))
    some = (..., slice(None, None, every), slice(None, None, every))
    features, head = proposal.features.detach()[some], proposal.head.detach()
    _, covariance = kernel_moments(features, head, mask[some], proposal.stride)
    variance = (covariance[0] + covariance[2]).clamp_min(0)
    weight = detail(sharp.detach())[some]
    spread = ((variance * weight).sum() / weight.sum().clamp_min(1e-12)).sqrt()
    return BlurEstimate(mask=float(mask.mean()), spread=float(spread))


def detail(image: Tensor) -> Tensor:
    """(H, W) gradient magnitude of a (3, H, W) image; zero at the far borders."""
    grey = image.mean(dim=0)
    weight = grey.new_zeros(grey.shape)
    weight[:, :-1] += (grey[:, 1:] - grey[:, :-1]).abs()
    weight[:-1, :] += (grey[1:, :] - grey[:-1, :]).abs()
    return weight
