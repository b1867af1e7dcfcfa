"""What is cloned, split and pruned (docs/method.md section 4). Pure functions of tensors and settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bags.modules.gaussians import Gaussians
from bags.ops.geometry import quaternion_to_rotation
from bags.settings import DensifySettings

# Of a Gaussian's parameters, in memory at the same time: value, gradient and Adam's two moments; what is drawn from
# them and its gradient; and, while some are added, the old and the new of what is being copied.
COPIES = 10
PART = 0.5  # share of the free memory that densification may use at once


@dataclass(frozen=True)
class Growth:
    """Which Gaussians grow: (N,) bool masks, disjoint."""

    clone: Tensor
    split: Tensor


@dataclass(frozen=True)
class Observation:
    """Screen-space statistics of some rendered views.

    Attributes:
        gradients: (2, N) sum of the screen-space gradients (NDC) of the views that see each Gaussian, and their number.
        radii: (N,) largest screen radius in pixels.
    """

    gradients: Tensor
    radii: Tensor

    def __add__(self, other: Observation) -> Observation:
        return Observation(self.gradients + other.gradients, torch.maximum(self.radii, other.radii))

    def unless(self, spoiled: Tensor | None) -> Observation:
        """This observation, or nothing seen at all where the scalar ``spoiled`` is not 0."""
        if spoiled is None:
            return self
        good = spoiled == 0
        return Observation(*(torch.where(good, values, 0.0) for values in (self.gradients, self.radii)))


@torch.no_grad()
def observe(gradients: Tensor, radii: Tensor, width: int, height: int) -> Observation:
    """The statistics of one rendered view.

    Args:
        gradients: (N, 2) gradient of the whole photo's mean loss with respect to the projected centres, per pixel.
        radii: (N,) screen radii; 0 where not drawn.
        width: of the whole photo; turns pixel gradients into the published NDC units.
        height: of the whole photo.
    """
    seen = radii > 0
    ndc = torch.hypot(gradients[:, 0] * (width / 2), gradients[:, 1] * (height / 2))
    return Observation(
        torch.stack([torch.where(seen, ndc, torch.zeros_like(ndc)), seen.to(ndc.dtype)]), radii.to(ndc.dtype)
    )


@torch.no_grad()
def gather(gaussians: Gaussians, seen: Observation) -> None:
    """Add what was seen to the statistics of ``gaussians``, in place."""
    gaussians.gradient_sum += seen.gradients[0]
    gaussians.gradient_count += seen.gradients[1]
    gaussians.max_radius = torch.maximum(gaussians.max_radius, seen.radii)


def floats_each(gaussians: Gaussians) -> int:
    """Learned numbers of a Gaussian."""
    return sum(getattr(gaussians, name)[:1].numel() for name in gaussians.PARAMETERS)


def room(gaussians: Gaussians, most: int | None, free: int) -> tuple[int, bool]:
    """How many Gaussians may be added, and whether memory is the limit.

    Args:
        gaussians: the current ones.
        most: largest total number; None: only memory is a limit.
        free: bytes of free memory.
    """
    held = int(free * PART) // (4 * COPIES * floats_each(gaussians))
    left = held if most is None else max(0, most - len(gaussians))
    return min(held, left), held <= left


@torch.no_grad()
def choose_growth(gaussians: Gaussians, settings: DensifySettings, threshold: float, room: int) -> Growth:
    """Gaussians whose mean screen-space gradient reaches ``threshold``: cloned if small, split if large.

    Args:
        gaussians: with statistics gathered.
        settings: ``percent_dense`` tells small from large, in units of the extent.
        threshold: of the mean gradient, NDC units.
        room: how many Gaussians may be added; the largest gradients go first.
    """
    mean = gaussians.gradient_sum / gaussians.gradient_count.clamp_min(1)
    grows = mean >= threshold
    if int(grows.sum()) > room:
        best = torch.topk(mean, max(room, 0)).indices
        grows = torch.zeros_like(grows).index_fill_(0, best, True) & grows
    small = gaussians.scales.amax(dim=1) <= settings.percent_dense * gaussians.extent
    return Growth(clone=grows & small, split=grows & ~small)


@torch.no_grad()
def grown(gaussians: Gaussians, growth: Growth, settings: DensifySettings, noise: Tensor) -> dict[str, Tensor]:
    """Values of the Gaussians to append: copies of the cloned ones, then the children of the split ones.

    Children draw their positions from the parent and have its scale divided by ``split_shrink * split_into``.

    Args:
        gaussians: parents.
        growth: what is cloned and split.
        settings: ``split_into``, ``split_shrink``.
        noise: (split_into * number split, 3) standard normal draws.
    """
    added = {}
    for name in gaussians.PARAMETERS:
        values = getattr(gaussians, name).data
        children = values[growth.split].repeat(settings.split_into, *(1 for _ in values.shape[1:]))
        added[name] = torch.cat([values[growth.clone], children])
    parent = growth.split
    spread = gaussians.scales[parent].repeat(settings.split_into, 1) * noise
    axes = quaternion_to_rotation(gaussians.rotations[parent]).repeat(settings.split_into, 1, 1)
    clones = int(growth.clone.sum())
    added["means"][clones:] += (axes @ spread[:, :, None])[:, :, 0]
    added["log_scales"][clones:] -= torch.tensor(settings.split_shrink * settings.split_into).log()
    return added


@torch.no_grad()
def choose_pruned(gaussians: Gaussians, settings: DensifySettings, multi_scale: bool, big: bool) -> Tensor:
    """(N,) bool: Gaussians to remove.

    Too transparent (unfiltered opacity below ``min_opacity``; ``init_opacity`` replaces it in the multi-scale phase
    where not negative); with ``big`` and a ``min_opacity`` of at most 0.005 also those larger than ``prune_big``
    extents; with ``prune_screen`` those that were ever larger than that on screen.
    """
    min_opacity = settings.init_opacity if multi_scale and settings.init_opacity >= 0 else settings.min_opacity
    pruned = gaussians.opacities < min_opacity
    if big and settings.min_opacity <= 0.005:
        pruned |= gaussians.scales.amax(dim=1) > settings.prune_big * gaussians.extent
    if settings.prune_screen is not None:
        pruned |= gaussians.max_radius > settings.prune_screen
    return pruned
