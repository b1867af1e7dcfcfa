"""Points like those of structure from motion: at textured places that several views see, with position noise."""

from __future__ import annotations

import numpy as np
import torch

from bags.datamodules.synthetic.raycaster import hit_points, pose
from bags.datamodules.synthetic.world import Array, World
from bags.types import Camera, PointCloud

_SEEN_BY = 3
_ROUNDS = 20


def sfm_points(
    world: World,
    cameras: list[Camera],
    photos: list[Array],
    count: int,
    noise: float,
    rng: np.random.Generator,
) -> PointCloud:
    """Trace pixels of the photos, preferring strong gradients, and keep points that three or more views see.

    Args:
        world: the solids.
        cameras: nominal poses of the photos.
        photos: (H, W, 3) sRGB in [0, 1], with their blur; gradients and colours are taken from them.
        count: number of points; fewer are returned only if the views hardly overlap.
        noise: standard deviation of the position noise per axis, scene units.
        rng: draws pixels and noise.
    """
    found, colours, total = [], [], 0
    per_view = -(-count // len(cameras)) + 1
    for _ in range(_ROUNDS):
        for camera, photo in zip(cameras, photos, strict=True):
            pixels = _textured_pixels(photo, per_view, rng)
            points = hit_points(world, camera, pixels.astype(np.float64))
            views = np.stack([visible(world, other, points) for other in cameras]).sum(0)
            seen = views >= min(_SEEN_BY, len(cameras))
            found.append(points[seen])
            colours.append(photo[pixels[seen, 1], pixels[seen, 0]])
            total += int(seen.sum())
        if total >= count:
            break
    chosen = rng.permutation(total)[:count]
    xyz = np.concatenate(found)[chosen]
    xyz = xyz + noise * rng.standard_normal(xyz.shape)
    rgb = np.concatenate(colours)[chosen]
    return PointCloud(torch.from_numpy(xyz).float(), torch.from_numpy(rgb).float())


def visible(world: World, camera: Camera, points: Array) -> Array:
    """(P,) whether the camera sees surface points (P, 3): in the image, nothing in front (tolerance 1 % of depth)."""
    rotation, translation = pose(camera)
    local = points @ rotation.T + translation
    depth = np.maximum(local[:, 2], 1e-6)
    pixels = local[:, :2] / depth[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    inside = (local[:, 2] > 0) & (np.abs(pixels - [camera.cx, camera.cy]) <= [camera.cx, camera.cy]).all(1)
    first = hit_points(world, camera, pixels) @ rotation[2] + translation[2]
    return inside & (first > 0.99 * depth)


def _textured_pixels(photo: Array, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) pixels (column, row), drawn in proportion to the gradient's magnitude."""
    rows, cols = np.gradient(photo.mean(-1))
    weight = np.hypot(rows, cols).ravel() + 1e-4
    chosen = rng.choice(weight.size, count, p=weight / weight.sum())
    return np.column_stack([chosen % photo.shape[1], chosen // photo.shape[1]])
