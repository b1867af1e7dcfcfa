"""Which kind of blur a field of kernels is: camera shake, defocus, low resolution or none.

A photo constrains a pixel's kernel only across edges: blur along an edge is invisible. So of every kernel's covariance
C only the part ``g^T C g`` along the gradient g of the sharp image counts. Three figures distinguish the kinds. Each is
a property of the optics rather than of the scene:

* the mask and the width of the kernels: both are small for a sharp photo;
* roundness: shake smears along a line, in nearly the same direction all over the photo;
* how far kernels and mask follow the depth: defocus grows away from the plane of focus, while low resolution is the
  same everywhere.

Limits: shape alone does not distinguish a small disc from a small square, so an out-of-focus scene at a single depth is
classified as low resolution. Camera roll around the middle of the photo smears along circles and is not recognised as
shake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["sharp", "motion", "defocus", "low_resolution"]

# Set on the built-in scene with seeds other than the default (docs/report.md has the figures on either side).
SHARP_MASK = 0.08  # mean of the mask where there is detail; below it: sharp
SHARP_SPREAD = 0.4  # pixels; below it: sharp, whatever the mask (a network may have none)
LINE_ROUNDNESS = 0.55  # variance across the line of shake over that along it; below it: shake
DEPTH_VARIATION = 0.24  # ``BlurField.depth_variation``; above it: defocus


@dataclass(frozen=True)
class BlurField:
    """Summary of a field of kernels.

    Attributes:
        mask: mean of the mask where there is detail, in [0, 1].
        spread: root mean square spread in pixels, averaged where there is detail.
        major, minor: largest and smallest variance over all directions, in pixels squared.
        direction: of the largest variance in degrees, [0, 180), 0 = along +x, 90 = along +y.
        depth_variation: relative variation that depth explains: standard deviation of the part that is a function of
            depth over the mean, averaged over the squared spread and the mask.
    """

    mask: float
    spread: float
    major: float
    minor: float
    direction: float
    depth_variation: float

    @property
    def direction_variation(self) -> float:
        """Standard deviation of the variance over all directions, divided by its mean."""
        return (self.major - self.minor) / max(self.major + self.minor, 1e-12) / math.sqrt(2)

    @property
    def kind(self) -> Kind:
        """Kind of blur; where both direction and depth vary, the stronger variation decides."""
        if self.mask < SHARP_MASK or self.spread < SHARP_SPREAD:
            return "sharp"
        if self.minor < LINE_ROUNDNESS * self.major and self.direction_variation > self.depth_variation:
            return "motion"
        return "defocus" if self.depth_variation > DEPTH_VARIATION else "low_resolution"

    @property
    def length(self) -> float:
        """Length L in pixels of the uniform streak whose variance, ``L^2 / 12``, is the largest one."""
        return math.sqrt(12 * self.major)

    @property
    def radius(self) -> float:
        """Radius r in pixels of the uniform disc whose squared spread is ``r^2 / 2``."""
        return math.sqrt(2) * self.spread


def blur_field(covariance: Tensor, gradient: Tensor, depth: Tensor, mask: Tensor) -> BlurField:
    """Summarise a field of kernels.

    Args:
        covariance: (3, H, W) of each pixel's effective kernel: (xx, xy, yy) in pixels squared (``kernel_moments``).
        gradient: (2, H, W) of the sharp image, (x, y); its square is a pixel's weight. If it is 0 everywhere, all
            pixels have the same weight.
        depth: (H, W) distance from the camera, in any unit.
        mask: (H, W) in [0, 1].
    """
    xx, xy, yy = covariance.detach().double().flatten(1).cpu()
    gx, gy = gradient.detach().double().flatten(1).cpu()
    if not bool((gx != 0).any() or (gy != 0).any()):
        angle = torch.arange(len(gx), dtype=gx.dtype)
        gx, gy = angle.cos(), angle.sin()
    squared = gx * gx + gy * gy
    weight, steepness = squared / squared.sum(), squared.sqrt().clamp_min(1e-12)
    variance, opening = (xx + yy).clamp_min(0), mask.detach().double().flatten().cpu()
    major, minor, direction = _principal(
        torch.stack([gx * gx, 2 * gx * gy, gy * gy]) / steepness,
        (gx * gx * xx + 2 * gx * gy * xy + gy * gy * yy) / steepness,
    )
    inverse = 1 / depth.detach().double().flatten().cpu().clamp_min(max(float(depth.median()) / 10, 1e-12))
    variation = (_following(variance, inverse, weight) + _following(opening, inverse, weight)) / 2
    return BlurField(
        mask=float((weight * opening).sum()),
        spread=math.sqrt((weight * variance).sum()),
        major=major,
        minor=minor,
        direction=direction,
        depth_variation=variation,
    )


def _principal(terms: Tensor, seen: Tensor) -> tuple[float, float, float]:
    """Largest and smallest variance, and direction of the largest, of the single covariance M that fits best.

    Least squares over all pixels of ``n^T M n = n^T C n``, where n is the gradient's direction, weighted by the squared
    gradient.
    """
    m_xx, m_xy, m_yy = torch.linalg.lstsq(terms.T, seen[:, None], driver="gelsd").solution[:, 0].tolist()
    middle, half = (m_xx + m_yy) / 2, math.hypot((m_xx - m_yy) / 2, m_xy)
    direction = math.degrees(math.atan2(2 * m_xy, m_xx - m_yy)) / 2 % 180 % 180  # -1e-20 % 180 is 180
    return max(middle + half, 0.0), max(middle - half, 0.0), direction


def _following(values: Tensor, inverse: Tensor, weight: Tensor) -> float:
    """How far ``values`` follow the depth: standard deviation of the best parabola in ``inverse``, over their mean.

    A lens spreads a point over a disc whose diameter is linear in ``1 / depth``, so the variance is a parabola in it.
    """
    middle = (weight * inverse).sum()
    width = (weight * (inverse - middle).square()).sum().sqrt()
    place = (inverse - middle) / width.clamp_min(1e-12 + 1e-6 * float(middle))
    terms = torch.stack([torch.ones_like(place), place, place * place], dim=1)
    root = weight.sqrt()[:, None]
    fitted = terms @ torch.linalg.lstsq(root * terms, root * values[:, None], driver="gelsd").solution
    mean = (weight * values).sum()
    return float((weight * (fitted[:, 0] - mean).square()).sum().sqrt() / mean.clamp_min(1e-12))
