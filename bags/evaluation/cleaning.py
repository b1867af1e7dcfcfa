"""Finds Gaussians that can be removed from an exported scene, by four rules.

Splat editors remove Gaussians that are faint, large or far from their neighbours. Here each Gaussian's contribution to
the training photos is known, so most rules use that. docs/export.md says what they remove and what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from bags.modules.bags_module import BagsModule
from bags.ops.sh import rgb_to_dc
from bags.types import Camera, Splats

SURFACE = 0.8  # a Gaussian nearer than this fraction of the pixel's depth is in free space
SOLID = 0.5  # smallest opacity of a pixel that has a depth
NEIGHBOURS = 8  # number of nearest Gaussians to which a Gaussian can be connected


@dataclass(frozen=True)
class Limits:
    """Thresholds of the rules. All but ``faint`` apply only in free space, where there are no walls or details.

    Attributes:
        faint: removed if its contribution to every photo is below this number of pixels.
        huge: removed if its largest standard deviation exceeds this fraction of the distance to the nearest camera.
        few: removed if it is visible in fewer photos than this.
        speck: removed if its connected group has fewer Gaussians than this.
        reach: two are connected if the distance of their centres is at most this times the sum of their standard
            deviations.
    """

    faint: float
    huge: float
    few: float
    speck: int
    reach: float


LEVELS = {
    "careful": Limits(faint=0.02, huge=1, few=3, speck=10, reach=3),
    "thorough": Limits(faint=0.05, huge=0.3, few=10, speck=30, reach=2),
}


@dataclass(frozen=True)
class Evidence:
    """Statistics of N Gaussians over the training views; (N,) tensors.

    Attributes:
        most: its blending weight, summed over the pixels of a photo; the largest over all photos.
        photos: effective number of photos that show it: ``(sum s)^2 / sum s^2`` of its weights s in all photos.
        nearest: distance to the nearest camera, scene units.
        seen: number of views that contain its centre, at a pixel with a surface.
        before: number of these in which it is in free space in front of that surface.
    """

    most: Tensor
    photos: Tensor
    nearest: Tensor
    seen: Tensor
    before: Tensor


def gather(module: BagsModule, cameras: Sequence[Camera]) -> Evidence:
    """Render every view once, and measure the contribution of each Gaussian.

    A pixel's colour is the sum of the Gaussians' colours times their blending weights, so the weights are its
    derivatives with respect to the colours.

    Args:
        module: trained.
        cameras: of the training views.
    """
    splats = module.gaussians.splats()
    splats = Splats(**{name: part.detach() for name, part in vars(splats).items()})
    nothing = torch.zeros_like(splats.opacities)
    most, total, squares, seen, before = (nothing.clone() for _ in range(5))
    nearest = torch.full_like(nothing, torch.inf)
    for camera in (camera.to(nothing.device) for camera in cameras):
        with torch.enable_grad():
            colours = torch.full_like(splats.sh_dc, 0.5).requires_grad_()
            plain = replace(splats, sh_dc=rgb_to_dc(colours), sh_rest=torch.zeros_like(splats.sh_rest))
            render = module.render(camera, plain)
            (slopes,) = torch.autograd.grad(render.rgb[0].sum(), colours)
        given = slopes[:, 0, 0]
        most, total, squares = torch.maximum(most, given), total + given, squares + given.square()
        away = (splats.means - camera.center).norm(dim=1)
        nearest = torch.minimum(nearest, away)
        surface = at_centres(render.depth.detach() / render.alpha.detach(), camera, splats.means)
        solid = at_centres(render.alpha.detach(), camera, splats.means) > SOLID
        seen += solid
        before += solid & (away < SURFACE * surface)
    return Evidence(most, total.square() / squares.clamp_min(1e-12), nearest, seen, before)


def at_centres(picture: Tensor, camera: Camera, means: Tensor) -> Tensor:
    """(N,) values of ``picture`` (H, W) at the pixels of ``means`` (N, 3); 0 for those outside the picture."""
    x, y, z = (means @ camera.rotation.T + camera.translation).T
    columns = (camera.fx * x / z + camera.cx).round().nan_to_num(-1).clamp(-1, camera.width).long()
    rows = (camera.fy * y / z + camera.cy).round().nan_to_num(-1).clamp(-1, camera.height).long()
    held = (z > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    shown = picture[rows.clamp(0, camera.height - 1), columns.clamp(0, camera.width - 1)]
    return torch.where(held, shown, torch.zeros_like(shown))


def removable(splats: Splats, evidence: Evidence, limits: Limits) -> dict[str, Tensor]:
    """(N,) bool for each reason: the Gaussians to remove. Each is listed only under the first reason that applies.

    Args:
        splats: N Gaussians as they are drawn.
        evidence: their statistics.
        limits: thresholds.
    """
    sizes = splats.scales.amax(dim=1)
    free = (evidence.before > 0) & (2 * evidence.before >= evidence.seen)
    rules = {
        "faint": evidence.most < limits.faint,
        "huge": free & (sizes > limits.huge * evidence.nearest),
        "in few photos": free & (evidence.photos < limits.few),
    }
    found: dict[str, Tensor] = {}
    left = torch.ones_like(free)
    for reason, holds in rules.items():
        found[reason] = holds & left
        left = left & ~holds
    specks = torch.zeros_like(left)
    specks[left] = group_sizes(splats.means[left], sizes[left], limits.reach) < limits.speck
    return {**found, "specks": free & specks}


def group_sizes(means: Tensor, sizes: Tensor, reach: float) -> Tensor:
    """(N,) number of Gaussians in the connected group of each, including itself.

    Two neighbours are connected if the distance of their centres (N, 3) is at most ``reach`` times the sum of their
    ``sizes`` (N,).
    """
    count = len(means)
    if count < 2:
        return torch.ones(count, dtype=torch.long, device=means.device)
    places, widths = means.double().cpu().numpy(), sizes.double().cpu().numpy()
    distances, others = cKDTree(places).query(places, k=min(NEIGHBOURS + 1, count))
    own = np.repeat(np.arange(count), others.shape[1])
    near = distances.ravel() <= reach * (widths[own] + widths[others.ravel()])
    links = coo_matrix((near[near], (own[near], others.ravel()[near])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    return torch.from_numpy(np.bincount(group)[group]).to(means.device)
