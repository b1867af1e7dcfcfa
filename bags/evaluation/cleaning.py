"""Gaussians that an exported scene can do without: what each gives to the training photos, and rules of four kinds.

Editors of splats remove what is faint, large or far from its neighbours. What a Gaussian gives to the photos is known
here, so most rules go by that. docs/export.md has what they remove and at which price.
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

SURFACE = 0.8  # nearer than so much of a pixel's depth a Gaussian is in free space
SOLID = 0.5  # opacity from which a pixel has a depth
NEIGHBOURS = 8  # a Gaussian can hang together with so many of those nearest to it


@dataclass(frozen=True)
class Limits:
    """How much goes. All but ``faint`` holds in free space only: elsewhere the same Gaussians are walls and details.

    Attributes:
        faint: what makes no more than so many pixels of any photo.
        huge: what is larger (standard deviation) than so much of its distance from the nearest camera.
        few: what is drawn in fewer photos than so many.
        speck: what hangs together with fewer Gaussians than so many, itself included.
        reach: two hang together where centres are no further apart than so many standard deviations of both.
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
    """What the training views say of N Gaussians; (N,) tensors.

    Attributes:
        most: its share of the light of a photo, summed over the pixels; the largest of all photos.
        photos: how many it is drawn in: of its shares s in all photos ``(sum s)^2 / sum s^2``.
        nearest: distance from the nearest camera, scene units.
        seen: views whose picture holds its centre, where there is a surface.
        before: of these, the views in which it is in free space before that surface.
    """

    most: Tensor
    photos: Tensor
    nearest: Tensor
    seen: Tensor
    before: Tensor


def gather(module: BagsModule, cameras: Sequence[Camera]) -> Evidence:
    """Draw every view once, and look how much each Gaussian gives to it.

    A pixel's colour is the sum of the Gaussians' colours times what they give, so that is its derivative.

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
    """(N,) what ``picture`` (H, W) shows where the camera sees ``means`` (N, 3); 0 where it sees none of them."""
    x, y, z = (means @ camera.rotation.T + camera.translation).T
    columns = (camera.fx * x / z + camera.cx).round().nan_to_num(-1).clamp(-1, camera.width).long()
    rows = (camera.fy * y / z + camera.cy).round().nan_to_num(-1).clamp(-1, camera.height).long()
    held = (z > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    shown = picture[rows.clamp(0, camera.height - 1), columns.clamp(0, camera.width - 1)]
    return torch.where(held, shown, torch.zeros_like(shown))


def removable(splats: Splats, evidence: Evidence, limits: Limits) -> dict[str, Tensor]:
    """(N,) bool for each reason: the Gaussians to remove for it. The first reason that holds is the one that counts.

    Args:
        splats: N Gaussians as they are drawn.
        evidence: of them.
        limits: how much goes.
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
    """(N,) how many Gaussians hang together with each of them, itself included.

    Two neighbours do whose centres (N, 3) are no further apart than ``reach`` times their ``sizes`` (N,) together.
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
