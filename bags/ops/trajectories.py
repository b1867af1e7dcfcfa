"""Camera paths through a scene, derived from the poses of the training photos.

Published 3DGS code renders similar paths for its videos. This construction is our own: everything follows from the
spread of the cameras, so that one formula serves scenes seen from one side and from all around.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation
from torch import Tensor

from bags.types import Camera

Array = NDArray[np.float64]

AROUND = math.radians(120)  # cameras stand around the scene if no gap between their bearings is wider
REST = 0.5  # share of the time at rest in ``resting_path``
DEPTH_WEIGHT = 0.1  # of the scene's depth, against the crossing of the axes, in ``focus``; decides for parallel axes


def training_path(cameras: Sequence[Camera], frames: int) -> list[Camera]:
    """A smooth flight past all training cameras.

    The cameras are visited in the order of the files, changed where another order is shorter (``tour``). Position and
    orientation are interpolated monotonically (Fritsch and Carlson 1980) at a constant speed, measured in distance and
    rotation, and smoothed over about the distance of two photos. The path stays within the cameras' bounding box.

    Args:
        cameras: of the training views, at least one.
        frames: how many cameras to return, at least 2.
    """
    _, keys, steps = _toured(cameras)
    way = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-9))])
    if len(keys) > 1:
        path = PchipInterpolator(way, keys)(np.linspace(0, way[-1], frames))
        path = gaussian_filter1d(path, frames / (len(keys) - 1), axis=0, mode="nearest")
    else:
        path = np.repeat(keys, frames, axis=0)
    model = _finest(cameras)
    rotations = Rotation.from_quat(path[:, 3:]).as_matrix()
    return [_placed(model, rotation, center) for rotation, center in zip(rotations, path[:, :3], strict=True)]


def resting_path(cameras: Sequence[Camera], frames: int, stops: int) -> list[tuple[int, Camera]]:
    """A flight from camera to camera that rests at each, in the order of ``training_path``.

    Args:
        cameras: of the training views, at least one.
        frames: how many cameras to return.
        stops: rest at no more than this many of ``cameras``, spread over the path.

    Returns:
        For every frame the index of the nearest of ``cameras`` along the path, and a camera with the lens and image
        size of that one; at rest, that camera itself.
    """
    order, keys, _ = _toured(cameras)
    taken = np.unique(np.linspace(0, len(order) - 1, min(stops, len(order))).round().astype(int))
    whole, part = np.divmod(np.linspace(0, len(taken) - 1, frames), 1)
    moved = ((part - REST / 2) / (1 - REST)).clip(0, 1)
    place = whole + moved**2 * (3 - 2 * moved)  # speed 0 at both ends
    if len(taken) > 1:
        poses = PchipInterpolator(np.arange(len(taken)), keys[taken])(place)
    else:
        poses = np.repeat(keys[taken], frames, axis=0)
    rotations = Rotation.from_quat(poses[:, 3:]).as_matrix()
    nearest = [order[taken[round(where)]] for where in place]
    return [
        (index, cameras[index] if where % 1 == 0 else _placed(cameras[index], rotation, pose[:3]))
        for index, where, rotation, pose in zip(nearest, place, rotations, poses, strict=True)
    ]


def ellipse(cameras: Sequence[Camera], points: Tensor, frames: int) -> list[Camera]:
    """One round on an ellipse with the spread of the cameras, looking at the scene; the last frame leads to the first.

    If the cameras stand around the scene, so does the ellipse, at their mean height. Otherwise it lies in the plane
    that faces the scene.

    Args:
        cameras: of the training views.
        points: (M, 3) world positions of the scene's content.
        frames: how many cameras to return.
    """
    return _loop(cameras, points, frames, turns=1, depth=0.0)


def spiral(cameras: Sequence[Camera], points: Tensor, frames: int) -> list[Camera]:
    """Two rounds of ``ellipse`` that rise and fall once around a scene, or move in and out once in front of it."""
    return _loop(cameras, points, frames, turns=2, depth=1.0)


def focus(cameras: Sequence[Camera], points: Tensor) -> Array:
    """(3,) what the cameras look at: the point closest to all optical axes and, with less weight, at the scene's depth.

    Least squares over ``|distance to axis|^2 + DEPTH_WEIGHT (depth along it - d)^2``, with d the median depth at which
    the cameras see ``points``. The second term decides for cameras that all look in the same direction.
    """
    centers, axes = _centers(cameras), _rotations(cameras)[:, 2]
    depth = _median_depth(cameras, points)
    weights = np.eye(3) - (1 - DEPTH_WEIGHT) * axes[:, :, None] * axes[:, None, :]
    wanted = np.einsum("nij,nj->ni", weights, centers) + DEPTH_WEIGHT * depth * axes
    solution: Array = np.linalg.solve(weights.sum(axis=0), wanted.sum(axis=0))
    return solution


def tour(distances: Array) -> list[int]:
    """An order of N places, found from the given one, that no reversal of a section shortens (2-opt; Croes 1958).

    Args:
        distances: (N, N) symmetric.
    """
    count = len(distances)
    # An extra place at distance 0 from all others is put before the first and after the last, so the ends are free.
    padded = np.zeros((count + 1, count + 1))
    padded[:count, :count] = distances
    order = np.array([count, *range(count), count])
    improved = True
    while improved:
        improved = False
        for start in range(count - 1):
            a, b = order[start], order[start + 1]
            last, after = order[start + 2 : -1], order[start + 3 :]
            last = last[: len(after)]
            gain = padded[a, b] + padded[last, after] - padded[a, last] - padded[b, after]
            best = int(gain.argmax())
            if gain[best] > 1e-9:
                order[start + 1 : start + 3 + best] = order[start + 1 : start + 3 + best][::-1].copy()
                improved = True
    return [int(place) for place in order[1:-1]]


def _toured(cameras: Sequence[Camera]) -> tuple[list[int], Array, Array]:
    """The order of ``tour``, and in it (N, 7) centres and quaternions (x, y, z, w) and the (N - 1,) distances."""
    centers, turns = _centers(cameras), Rotation.from_matrix(_rotations(cameras))
    distances = _pose_distances(centers, turns)
    order = tour(distances)
    keys = np.concatenate([centers[order], _aligned(turns[order].as_quat())], axis=1)
    return order, keys, distances[order[:-1], order[1:]]


@dataclass(frozen=True)
class _Frame:
    """Position of a loop: its middle, what it looks at, up, and three half-axes (rows, scene units)."""

    middle: Array
    target: Array
    up: Array
    axes: Array


def _frame(cameras: Sequence[Camera], points: Tensor) -> _Frame:
    centers, rotations, target = _centers(cameras), _rotations(cameras), focus(cameras, points)
    up = _unit(-rotations[:, 1].mean(axis=0), fallback=-rotations[0, 1])
    offsets = centers - target
    flat = offsets - np.outer(offsets @ up, up)
    if _stand_around(flat, up):
        first = np.linalg.svd(flat, full_matrices=False)[2][0]
        directions = np.stack([first, np.cross(up, first), up])
        middle = target + up * (offsets @ up).mean()
    else:
        forward = _unit(target - centers.mean(axis=0), fallback=rotations[0, 2])
        right = _perpendicular(up, forward)
        directions = np.stack([right, np.cross(forward, right), forward])
        middle = centers.mean(axis=0)
    # The variance of r cos(t) is r^2 / 2, so that radii with this factor give the loop the spread of the cameras.
    radii = np.sqrt(2 * (((centers - middle) @ directions.T) ** 2).mean(axis=0))
    return _Frame(middle, target, up, radii[:, None] * directions)


def _loop(cameras: Sequence[Camera], points: Tensor, frames: int, turns: int, depth: float) -> list[Camera]:
    frame, model = _frame(cameras, points), _finest(cameras)
    once = 2 * np.pi * np.arange(frames) / frames
    places = np.stack([np.cos(turns * once), np.sin(turns * once), depth * np.sin(once)], axis=1)
    path = frame.middle + places @ frame.axes
    return [_placed(model, _looking(frame.target - center, frame.up), center) for center in path]


def _stand_around(flat: Array, up: Array) -> bool:
    """Whether the bearings of ``flat`` (N, 3), perpendicular to ``up``, go all around."""
    first = _perpendicular(up, flat[0])
    bearings = np.sort(np.arctan2(flat @ first, flat @ np.cross(up, first)))
    return bool(np.diff(bearings, append=bearings[0] + 2 * np.pi).max() <= AROUND)


def _median_depth(cameras: Sequence[Camera], points: Tensor) -> float:
    """Median over the cameras of the median depth of the points each sees; if none sees any, the cameras' spread."""
    points = points.detach().double().cpu()
    medians = []
    for camera in cameras:
        x, y, z = (points @ camera.rotation.double().cpu().T + camera.translation.double().cpu()).T
        wide, high = camera.half_field
        seen = (z > 0) & (x.abs() <= wide * z) & (y.abs() <= high * z)
        if bool(seen.any()):
            medians.append(float(z[seen].median()))
    centers = _centers(cameras)
    return float(np.median(medians)) if medians else float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())


def _pose_distances(centers: Array, turns: Rotation) -> Array:
    """(N, N) distances of poses: in space, relative to the cameras' spread, plus the rotation in radians."""
    apart = np.linalg.norm(centers[:, None] - centers, axis=2)
    spread = np.sqrt(((centers - centers.mean(axis=0)) ** 2).sum(axis=1).mean())
    quaternions = turns.as_quat()
    turning = 2 * np.arccos(np.abs(quaternions @ quaternions.T).clip(0, 1))
    distances: Array = apart / max(float(spread), 1e-12) + turning
    return distances


def _aligned(quaternions: Array) -> Array:
    """The same rotations, each quaternion in the half-space of the one before it, so that they can be interpolated."""
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(axis=1))
    signs = np.concatenate([[1.0], np.cumprod(np.where(flips == 0, 1, flips))])
    return quaternions * signs[:, None]


def _looking(forward: Array, up: Array) -> Array:
    """(3, 3) world-to-camera rotation of an upright camera that looks along ``forward``."""
    forward = forward / np.linalg.norm(forward)
    right = _perpendicular(up, forward)
    return np.stack([right, np.cross(forward, right), forward])


def _perpendicular(up: Array, forward: Array) -> Array:
    """Unit vector to the right when looking along ``forward``; any perpendicular one if that is straight up."""
    right = np.cross(forward, up)
    return _unit(right, fallback=_unit(np.cross(forward, np.roll(up, 1)), fallback=np.array([1.0, 0.0, 0.0])))


def _unit(vector: Array, fallback: Array) -> Array:
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-9 else fallback


def _placed(model: Camera, rotation: Array, center: Array) -> Camera:
    return replace(
        model,
        rotation=torch.from_numpy(rotation).float(),
        translation=torch.from_numpy(-rotation @ center).float(),
    )


def _finest(cameras: Sequence[Camera]) -> Camera:
    """The camera that provides lens and image size of the whole path: the first of the largest."""
    return max(cameras, key=lambda camera: camera.width * camera.height)


def _centers(cameras: Sequence[Camera]) -> Array:
    return np.stack([camera.center.double().cpu().numpy() for camera in cameras])


def _rotations(cameras: Sequence[Camera]) -> Array:
    return np.stack([camera.rotation.double().cpu().numpy() for camera in cameras])
