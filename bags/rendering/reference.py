"""The rasteriser in plain torch: slow, readable, any device and float type, gradients by autograd.

It is the reference that fast backends are tested against (in float64), and the "plain torch" row of the benchmark.
Formulas: docs/method.md section 2, after Zwicker et al. 2001 (EWA), Kerbl et al. 2023 and Yu et al. 2024
(Mip-Splatting).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bags.ops.geometry import covariance_root
from bags.ops.sh import sh_to_rgb
from bags.rendering.base import (
    DIRECTION_CLAMP,
    KERNEL_SIZE,
    MAX_ALPHA,
    MAX_RADIUS,
    MIN_ALPHA,
    MIN_DETERMINANT,
    MIN_TRANSMITTANCE,
    NEAR,
    RADIUS_SIGMAS,
    TILE,
    Projection,
    check_splats,
    touches_image,
)
from bags.rendering.gate import Gate
from bags.types import Camera, Splats

BATCH = 4096  # (tile, Gaussian) pairs blended at once: bounds memory at about 256 floats x 10 each


def project(splats: Splats, camera: Camera, *, sh_degree: int, kernel_size: float = KERNEL_SIZE) -> Projection:
    """Project Gaussians to the screen; see ``Projection`` for the result and ``base`` for the rules.

    Raises:
        BagsError: wrong shapes, or an SH degree with more coefficients than there are.
    """
    check_splats(splats, sh_degree)
    camera = camera.to(splats.means.device, splats.means.dtype)
    gate, seen = Gate(), _in_front(splats, camera)
    splats = gate.through(splats)
    means = splats.means[seen]
    means2d, root, _ = to_screen(means, covariance_root(splats.scales[seen], splats.rotations[seen]), camera)
    conics, compensation, size = filter2d(root, kernel_size)
    opacities = splats.opacities[seen] * compensation

    offsets = means - camera.center
    distances = offsets.norm(dim=-1)
    colours = sh_to_rgb(splats.sh_dc[seen], splats.sh_rest[seen], offsets / distances.unsqueeze(-1), sh_degree)

    with torch.no_grad():
        on_image = touches_image(means2d, size, camera.width, camera.height)
        numbers = [means2d, conics, colours, *(each[:, None] for each in (opacities, distances, size))]
        finite = torch.cat(numbers, dim=1).isfinite().all(dim=1)
        radii = torch.where(on_image & finite, size, 0).to(torch.int32)
        gate.drawn = seen.new_zeros(len(splats.means), dtype=torch.bool).index_put((seen,), radii > 0)

    def spread(values: Tensor) -> Tensor:
        shape = (radii > 0).view(-1, *[1] * (values.ndim - 1))
        return values.new_zeros(len(splats.means), *values.shape[1:]).index_put((seen,), values.where(shape, 0))

    return Projection(*(spread(v) for v in (means2d, conics, colours, opacities, distances, radii)))


def to_screen(means: Tensor, root: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """EWA: centres and covariances of Gaussians on the screen.

    Args:
        means: (n, 3) centres in the world.
        root: (n, 3, 3) roots ``R S`` of the 3D covariances.
        camera: the view, on the device of the others.

    Returns:
        Centres (n, 2) in pixels, the roots (n, 2, 3) ``J W R S`` of the 2D covariances, and view-space z (n,). J is
        evaluated at the clamped direction.
    """
    # World to camera, with x and y in units of a pixel at distance 1.
    pose = torch.cat([camera.rotation, camera.translation[:, None]], dim=1)
    pose = torch.cat([camera.fx * pose[:1], camera.fy * pose[1:2], pose[2:]])
    view, turned = torch.addmm(pose[:, 3], means, pose[:, :3].T), pose[:, :3] @ root
    z = view[:, 2:]
    u, v = (view[:, :2] / z).unbind(1)  # pixels from the principal point
    bound_x, bound_y = (DIRECTION_CLAMP * side / 2 for side in camera.photo_size)
    direction = torch.stack([u.clamp(-bound_x, bound_x), v.clamp(-bound_y, bound_y)], dim=1)
    root2d = torch.addcmul(turned[:, :2], direction[:, :, None], turned[:, 2:], value=-1) / z[:, :, None]
    return torch.stack([u + camera.cx, v + camera.cy], dim=1), root2d, z[:, 0]


def filter2d(root: Tensor, kernel_size: float) -> tuple[Tensor, Tensor, Tensor]:
    """The 2D Mip filter: conics, opacity factors and radii of the filtered covariances.

    The determinant is computed from the root, as the squared area that its rows span. For needle-like Gaussians,
    ``xx yy - xy^2`` loses all digits in float32. (The Numba kernels use that difference in float64, which is enough.)

    Args:
        root: (n, 2, 3) roots of the 2D covariances (``to_screen``).
        kernel_size: variance that the filter adds, pixels squared.

    Returns:
        Conics (n, 3), factors on the opacity (n,), screen radii (n,) as floats without gradient.
    """
    covariance = root @ root.mT
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    sharp, trace = torch.linalg.cross(root[:, 0], root[:, 1]).square().sum(dim=1), a + c
    det = torch.add(sharp + kernel_size**2, trace, alpha=kernel_size)  # never below sharp
    conics = torch.stack([c + kernel_size, -b, a + kernel_size], dim=-1) / det.unsqueeze(-1)
    drawn = sharp > MIN_DETERMINANT
    # The inner where keeps the infinite slope of the square root at 0 out of the gradient.
    compensation = torch.where(drawn, torch.where(drawn, sharp / det, 1).sqrt(), 0)
    with torch.no_grad():
        largest = torch.add(torch.hypot((a - c) / 2, b) + kernel_size, trace, alpha=0.5)
        size = (RADIUS_SIGMAS * largest.sqrt()).ceil().clamp(max=MAX_RADIUS)
    return conics, compensation, size


def _in_front(splats: Splats, camera: Camera) -> Tensor:
    """Indices of the Gaussians beyond the near plane whose parameters are all finite."""
    with torch.no_grad():
        z = splats.means @ camera.rotation[2] + camera.translation[2]
        rows = [getattr(splats, name).flatten(1) for name in ("means", "scales", "rotations", "sh_dc", "sh_rest")]
        finite = torch.cat([*rows, splats.opacities.unsqueeze(1)], dim=1).isfinite().all(dim=1)
        return ((z > NEAR) & finite).nonzero().squeeze(1)


def _tiles(means2d: Tensor, radii: Tensor, width: int, height: int) -> Tensor:
    """Tile rectangle (n, 2, 2) of mean +- radius, within the image: [first, one past last] x [column, row]."""
    limits = torch.tensor([-(-width // TILE), -(-height // TILE)], device=means2d.device)
    radii = radii.unsqueeze(-1).to(means2d.dtype)
    first = ((means2d - radii) / TILE).floor()
    last = ((means2d + radii) / TILE).floor() + 1
    bounds = torch.stack([first, last], dim=1).nan_to_num(0, MAX_RADIUS, -MAX_RADIUS)
    return bounds.clamp(-MAX_RADIUS, MAX_RADIUS).long().clamp_min(0).minimum(limits)


def rasterize(projection: Projection, background: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Blend projected Gaussians front to back.

    Args:
        projection: what ``project`` returned.
        background: (3,) colour behind everything.
        width: image width in pixels.
        height: image height in pixels.

    Returns:
        rgb (3, H, W), depth (H, W) as sum of alpha * transmittance * distance, alpha (H, W).
    """
    features = torch.cat([projection.colours, projection.distances.unsqueeze(1)], dim=1)
    columns, rows = -(-width // TILE), -(-height // TILE)
    layers = projection.means2d.new_zeros(columns * rows, TILE * TILE, 4)
    clear = projection.means2d.new_ones(columns * rows, TILE * TILE)
    for tiles, members, real in _batches(projection, width, height):
        pixels = _pixels(tiles, columns, projection.means2d.dtype)
        splats = (projection.means2d, projection.conics, projection.opacities, features)
        # Each batch is recomputed in the backward pass, which bounds memory.
        blended, left = checkpoint(
            _blend, *(s[members] for s in splats), real, pixels, use_reentrant=False, preserve_rng_state=False
        )
        layers = layers.index_put((tiles,), blended)
        clear = clear.index_put((tiles,), left)

    def image(values: Tensor) -> Tensor:
        grid = values.view(rows, columns, TILE, TILE, -1).permute(4, 0, 2, 1, 3)
        return grid.reshape(-1, rows * TILE, columns * TILE)[:, :height, :width]

    layers, clear = image(layers), image(clear)
    return layers[:3] + clear * background.to(layers)[:, None, None], layers[3], 1 - clear[0]


def _batches(projection: Projection, width: int, height: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of tiles with similar counts: indices (B,), Gaussians front to back (B, K), and which are not padding."""
    drawn = projection.radii.nonzero().squeeze(1)
    drawn = drawn[projection.distances.detach()[drawn].argsort(stable=True)]
    device = drawn.device
    bounds = _tiles(projection.means2d.detach()[drawn], projection.radii[drawn], width, height)
    spans = bounds[:, 1] - bounds[:, 0]
    counts = spans.prod(dim=1)
    owner = torch.arange(len(drawn), device=device).repeat_interleave(counts)
    nth = torch.arange(len(owner), device=device) - (counts.cumsum(0) - counts)[owner]
    column = bounds[owner, 0, 0] + nth % spans[owner, 0]
    row = bounds[owner, 0, 1] + nth // spans[owner, 0]
    columns, rows = -(-width // TILE), -(-height // TILE)
    tile, order = (row * columns + column).sort(stable=True)
    owner = drawn[owner[order]]
    lengths = torch.bincount(tile, minlength=columns * rows)
    starts = lengths.cumsum(0) - lengths
    by_length = lengths.argsort(descending=True)[: int((lengths > 0).sum())]
    begin = 0
    while begin < len(by_length):
        longest = int(lengths[by_length[begin]])
        tiles = by_length[begin : begin + max(1, BATCH // longest)]
        entries = torch.arange(longest, device=device)
        real = entries < lengths[tiles, None]
        yield tiles, owner[torch.where(real, starts[tiles, None] + entries, 0)], real
        begin += len(tiles)


def _pixels(tiles: Tensor, columns: int, dtype: torch.dtype) -> Tensor:
    """(B, 256, 2) pixel centres (x, y) of tiles, row by row."""
    steps = torch.arange(TILE, device=tiles.device)
    x = (tiles % columns * TILE)[:, None, None] + steps[None, None, :]
    y = (tiles // columns * TILE)[:, None, None] + steps[None, :, None]
    return torch.stack(torch.broadcast_tensors(x, y), dim=-1).flatten(1, 2).to(dtype)


def _blend(
    means2d: Tensor, conics: Tensor, opacities: Tensor, features: Tensor, real: Tensor, pixels: Tensor
) -> tuple[Tensor, Tensor]:
    """Front-to-back blending of B tiles of P pixels with K Gaussians each.

    Takes (B, K, 2), (B, K, 3), (B, K), (B, K, 4), (B, K) and (B, P, 2); returns the weighted sums of the features
    (B, P, 4) and the remaining transmittance (B, P).
    """
    dx, dy = (pixels.unsqueeze(1) - means2d.unsqueeze(2)).unbind(-1)
    xx, xy, yy = conics.unsqueeze(2).unbind(-1)
    alpha = opacities.unsqueeze(2) * torch.exp(-(xx * dx * dx + yy * dy * dy) / 2 - xy * dx * dy)
    alpha = torch.where((alpha >= MIN_ALPHA) & real.unsqueeze(2), alpha.clamp(max=MAX_ALPHA), 0)
    with torch.no_grad():  # transmittance decreases: this drops the first Gaussian beyond the limit and all behind it
        before_stop = (1 - alpha).cumprod(dim=1) >= MIN_TRANSMITTANCE
    alpha = alpha * before_stop
    after = (1 - alpha).cumprod(dim=1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=1)
    return torch.einsum("bkp,bkf->bpf", alpha * before, features), after[:, -1]
