"""The layouts: their cameras, what they see, and at which depths."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from bags.datamodules.synthetic.contents import COURT, HALL, STREET
from bags.datamodules.synthetic.world import ROOM, Array, Contents
from bags.settings import SyntheticSettings
from bags.types import Camera


class Layout(NamedTuple):
    """A world and the way cameras are placed in it.

    Attributes:
        contents: of the world.
        cameras: ``(settings, count, spread, rng)`` returns ``count`` cameras; ``spread`` is 1 for training views and
            below 1 for test views, which are within the range of the training views.
        depth: view depth of what the cameras look at; streaks have their nominal length there.
        near, far: view depths of the nearest solids and of the back wall; lenses focus between them.
    """

    contents: Contents
    cameras: Callable[[SyntheticSettings, int, float, np.random.Generator], list[Camera]]
    depth: float
    near: float
    far: float


def _sector(settings: SyntheticSettings, count: int, spread: float, rng: np.random.Generator) -> list[Camera]:
    """On a sector of a ring around the target: spread over azimuth and height, at slightly varying distance."""
    place, target = _places(count, rng), np.array([0.0, 0.4, 0.9])
    azimuth, height = np.radians(27.0) * spread * place[:, 0], 0.75 + 0.55 * spread * place[:, 1]
    distance = 4.4 + 0.2 * spread * rng.uniform(-1.0, 1.0, count)
    return _around(settings, target, azimuth, height, distance, 0.12 * spread * rng.uniform(-1.0, 1.0, (count, 3)))


def _ring(settings: SyntheticSettings, count: int, spread: float, rng: np.random.Generator) -> list[Camera]:
    """All around the objects in the middle, at varying height; test views have any azimuth, too."""
    place, target = _places(count, rng), np.array([0.0, 0.0, 0.75])
    azimuth, height = np.radians(180.0) * place[:, 0], 0.75 + 0.4 * spread * place[:, 1]
    distance = 3.7 + 0.2 * spread * rng.uniform(-1.0, 1.0, count)
    return _around(settings, target, azimuth, height, distance, 0.1 * spread * rng.uniform(-1.0, 1.0, (count, 3)))


def _along(settings: SyntheticSettings, count: int, spread: float, rng: np.random.Generator) -> list[Camera]:
    """Along the house front, nearly perpendicular to it, as if walking past. No test view shows its ends."""
    place, jitter = _places(count, rng) * spread, rng.uniform(-1.0, 1.0, (count, 3)) * spread
    centers = np.column_stack([3.2 * spread * place[:, 0], -5.6 + 0.4 * jitter[:, 0], 1.6 + 0.35 * place[:, 1]])
    targets = np.column_stack([centers[:, 0] + 0.5 * jitter[:, 1], np.zeros(count), 1.6 + 0.2 * jitter[:, 2]])
    return _look_all(settings, centers, targets)


def _forward(settings: SyntheticSettings, count: int, spread: float, rng: np.random.Generator) -> list[Camera]:
    """On an area the size of a window, all looking in the same direction."""
    place, jitter = _places(count, rng) * spread, rng.uniform(-1.0, 1.0, (count, 3)) * spread
    centers = np.column_stack([0.55 * place[:, 0], -2.7 + 0.15 * jitter[:, 0], 1.45 + 0.35 * place[:, 1]])
    targets = np.array([0.0, 2.5, 1.1]) + np.column_stack([0.3 * jitter[:, 1], np.zeros(count), 0.15 * jitter[:, 2]])
    return _look_all(settings, centers, targets)


def _places(count: int, rng: np.random.Generator) -> Array:
    """(count, 2) in [-1, 1), evenly distributed: the R2 sequence (Roberts 2018) with a random start."""
    return (rng.random(2) + np.arange(count)[:, None] * [0.7548776662466927, 0.5698402909980532]) % 1.0 * 2.0 - 1.0


def _around(
    settings: SyntheticSettings, target: Array, azimuth: Array, height: Array, distance: Array, jitter: Array
) -> list[Camera]:
    """Cameras at ``azimuth`` (radians, 0 = in front of the target, at lower y) that look at ``target + jitter``."""
    offset = np.column_stack([np.sin(azimuth), -np.cos(azimuth), np.zeros(len(azimuth))]) * distance[:, None]
    centers = target + offset + np.array([0.0, 0.0, 1.0]) * height[:, None]
    return _look_all(settings, centers, target + jitter)


def _look_all(settings: SyntheticSettings, centers: Array, targets: Array) -> list[Camera]:
    return [look_at(settings, center, target) for center, target in zip(centers, targets, strict=True)]


def look_at(settings: SyntheticSettings, center: Array, target: Array) -> Camera:
    """A level camera at ``center`` (3,) that looks at ``target`` (3,); its focal length is the photo's width."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    focal = float(settings.width)
    return Camera(
        torch.from_numpy(rotation).float(),
        torch.from_numpy(-rotation @ center).float(),
        focal,
        focal,
        settings.width,
        settings.height,
    )


LAYOUTS = {
    "room": Layout(ROOM, _sector, depth=4.4, near=3.0, far=6.5),
    "walk_around": Layout(HALL, _ring, depth=3.8, near=2.6, far=18.0),
    "facade": Layout(STREET, _along, depth=5.4, near=3.6, far=6.0),
    "forward_facing": Layout(COURT, _forward, depth=3.5, near=2.0, far=11.5),
}
