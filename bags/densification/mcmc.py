"""Densification as a Markov chain: dead Gaussians move to live ones, and noise explores (docs/method.md section 8).

Formulas: Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", NeurIPS 2024. Functions of tensors
and settings; ``relocate`` edits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from bags.densification.surgery import rebuild
from bags.modules.gaussians import Gaussians
from bags.ops.filter3d import opacity_coefficient
from bags.ops.geometry import covariance_root
from bags.settings import DensifySettings

SHARPNESS = 100.0  # k of the noise: how suddenly it stops above the opacity of the dead
MOST_TIMES = 100  # made up for at once: a number of Gaussians stays one, however short the run
TERMS = 100  # of the sum over copies; the rest vanishes in float64, for any number of copies
FAINTEST, MOST_OPAQUE = 1e-12, 1 - 1e-7  # drawn opacities that can be shared out


@torch.no_grad()
def dead(gaussians: Gaussians, settings: DensifySettings) -> Tensor:
    """(N,) bool: unfiltered opacity of at most ``dead_opacity``, as pruning reads it, or not a number."""
    return ~(gaussians.opacities > settings.dead_opacity)


def growth(count: int, settings: DensifySettings, times: float, room: int) -> int:
    """How many Gaussians are added to ``count``.

    Args:
        count: that there are.
        settings: ``growth``, the fraction that is added at a time; the number is rounded up.
        times: that are made up for at once.
        room: how many may be added.
    """
    return min(math.ceil(count * (1 + settings.growth) ** min(times, MOST_TIMES)) - count, room)


@torch.no_grad()
def draw_live(gaussians: Gaussians, dead: Tensor, draws: Tensor) -> Tensor:
    """Rows of live Gaussians, each with a probability proportional to its opacity; a row may come several times.

    On the CPU in float64, where the sums have the same bits in every process.

    Args:
        gaussians: of which one is alive.
        dead: (N,) bool, never drawn.
        draws: (M,) uniform in [0, 1), on the CPU.

    Returns:
        (M,) indices on the CPU.
    """
    sums = torch.where(dead, 0.0, gaussians.opacities).cpu().double().cumsum(0)
    return torch.searchsorted(sums, draws.double() * sums[-1], right=True)


@torch.no_grad()
def shared(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """What a Gaussian has to be, so that N of it in one place are drawn as one was (eq. 9).

    ``o' = 1 - (1 - o)^(1/N)`` keeps the opacity at the centre. The factor ``o / sum_{m=1}^N binom(N, m) (-1)^(m-1)
    o'^m / sqrt(m)`` on the scales keeps its integral along any line through the centre. (The paper has a double sum;
    the sum over i of ``binom(i - 1, k)``, i = k + 1 .. N, is ``binom(N, k + 1)``.)

    Args:
        opacities: (M,) of the one, in [0, 1].
        copies: (M,) whole numbers N, 1 or more.

    Returns:
        (M,) opacities o' and (M,) factors in (0, 1], both float64.
    """
    whole = opacities.double().clamp(FAINTEST, MOST_OPAQUE)
    part = -torch.expm1(torch.log1p(-whole) / copies)
    total, term = torch.zeros_like(whole), -torch.ones_like(whole)
    for m in range(1, min(int(copies.max()), TERMS) + 1):
        term = term * -part * (copies - m + 1) / m  # 0 from m = N + 1 on
        total += term / math.sqrt(m)
    return part, whole / total


@torch.no_grad()
def share(gaussians: Gaussians, rows: Tensor, copies: Tensor) -> dict[str, Tensor]:
    """Values of some Gaussians, so that ``copies`` of each in one place are drawn as the one was.

    What is drawn is filtered (docs/method.md section 1), so filtered opacities and scales are shared, and the filter is
    taken out again. No axis gets narrower than half of what it would be without a filter: an axis much narrower than
    the filter could not shrink any further, and belongs to a faint Gaussian, whose scales need hardly change.

    Args:
        gaussians: with the filter they are drawn with.
        rows: (M,) indices.
        copies: (M,) how many come in place of each, 1 or more.

    Returns:
        (M, ...) values of every parameter.
    """
    values = {name: getattr(gaussians, name).data[rows] for name in gaussians.PARAMETERS}
    scales, sigma = values["log_scales"].double().exp(), gaussians.filter_sigma[rows].double()
    drawn = scales.square() + sigma[:, None].square()
    opacities = values["opacity_logits"].double().sigmoid() * opacity_coefficient(scales, sigma)
    part, factor = shared(opacities, copies)
    square = factor.square()[:, None]
    narrower = torch.maximum(square * drawn - sigma[:, None].square(), square * scales.square() / 4)
    unfiltered = part / opacity_coefficient(narrower.sqrt(), sigma)
    values["log_scales"] = (narrower.log() / 2).to(values["log_scales"])
    values["opacity_logits"] = unfiltered.clamp(1e-6, 1 - 1e-6).logit().to(values["opacity_logits"])
    return values


@torch.no_grad()
def relocate(gaussians: Gaussians, optimizer: Optimizer, dead: Tensor, drawn: Tensor) -> None:
    """Remove the dead Gaussians and put a copy beside a live one for each draw, in place; the render stays.

    Everything that changes starts with Adam's moments at zero: the copies, and those that they are copies of. They come
    last. They are drawn with the filter of the one they were until it is computed again.

    Args:
        gaussians: edited.
        optimizer: edited along.
        dead: (N,) bool.
        drawn: (M,) indices of live Gaussians, one or more, as often as they are to be copied.
    """
    hits = torch.bincount(drawn, minlength=len(gaussians)).to(dead.device)
    rows = hits.nonzero()[:, 0]
    copies = hits[rows] + 1
    added = {name: new.repeat_interleave(copies, dim=0) for name, new in share(gaussians, rows, copies).items()}
    sigma = gaussians.filter_sigma[rows].repeat_interleave(copies)
    rebuild(gaussians, optimizer, ~dead & (hits == 0), added)
    gaussians.filter_sigma[-len(sigma) :] = sigma


@torch.no_grad()
def noise(gaussians: Gaussians, settings: DensifySettings, rate: float, draws: Tensor) -> Tensor:
    """What is added to the positions after a step: none for opaque Gaussians (eq. 8).

    ``noise * rate * sigmoid(-k (o - t)) * Sigma draws`` with the unfiltered opacity o and covariance Sigma, k =
    ``SHARPNESS`` and t the opacity of the dead.

    Args:
        gaussians: after the step.
        settings: ``noise``, ``dead_opacity``.
        rate: of the positions at this step, scene units.
        draws: (N, 3) standard normal.

    Returns:
        (N, 3) scene units.
    """
    root = covariance_root(gaussians.scales, gaussians.rotations)
    spread = (root @ (root.mT @ draws[:, :, None]))[:, :, 0]
    faint = torch.sigmoid(-SHARPNESS * (gaussians.opacities - settings.dead_opacity))
    return settings.noise * rate * faint[:, None] * spread
