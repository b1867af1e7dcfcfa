"""How wide a photo's edges are, from the photo alone: a sharp photo has edges one pixel wide.

Blur widens every edge that it crosses: a step of contrast C, blurred by a Gaussian of standard deviation s, has the
slope ``C / (s sqrt(2 pi))`` in its middle. The ratio of contrast and slope does not depend on the strength of the edge,
so it can be compared between scenes. Every scene has some wide edges (shadows, round objects), but a sharp photo also
has narrow ones, so a photo is judged by its narrow edges. Motion does not widen the edges along it, so each direction
is judged separately.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import map_coordinates
from torch import Tensor

REACH = 4.0  # pixels on either side of an edge's middle that are searched for its ends
STEP = 0.5  # pixels between samples
CONTRAST = 0.15  # smallest contrast of an edge, relative to the photo's range; weaker ones may be noise
NARROW = 20  # percentile of the widths of a direction that represents it
DIRECTIONS = 8
NARROW_IN_REGION = 10  # that of a region: in some regions of a sharp photo, few edges are narrow
REGIONS = 3  # in a row, and in a column
FEWEST = 12  # edges needed to judge a direction or a region


def edge_width(photo: Tensor) -> float | None:
    """Width of a photo's narrow edges, in the direction or the region of the photo in which they are widest.

    Args:
        photo: (3, H, W) values in [0, 1].

    Returns:
        Standard deviation in pixels of the Gaussian that would widen a step to this width. A step from one pixel to the
        next has 0.8, the smallest width that central differences can measure. None if there are too few edges.
    """
    grey = photo.mean(dim=0).double().cpu().numpy()
    places, widths, angles = _edges(grey)
    row, column = (places * REGIONS // np.array(grey.shape)[:, None]).astype(int)
    region = row * REGIONS + column
    groups = [(_near(angles, direction * 180 / DIRECTIONS), NARROW) for direction in range(DIRECTIONS)]
    groups += [(region == which, NARROW_IN_REGION) for which in range(REGIONS * REGIONS)]
    found = [float(np.percentile(widths[those], percentile)) for those, percentile in groups if those.sum() >= FEWEST]
    return max(found, default=None)


def _near(angles: np.ndarray, direction: float) -> np.ndarray:
    """Which of the ``angles`` are close to ``direction``, in degrees modulo 180."""
    return np.abs((angles - direction + 90) % 180 - 90) <= 180 / DIRECTIONS * 2 / 3


def _edges(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges of a grey (H, W) image.

    Returns:
        (2, N) rows and columns, (N,) widths in pixels, and (N,) angles in degrees; the last two across the edge.
    """
    if min(grey.shape) <= 2 * REACH + 1:
        return np.empty((2, 0)), np.empty(0), np.empty(0)
    slope_y, slope_x = np.gradient(grey)
    slope = np.hypot(slope_x, slope_y)
    least = CONTRAST * np.ptp(np.percentile(grey, [1, 99]))
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    inside = (np.minimum(x, y) >= REACH) & (x < grey.shape[1] - REACH) & (y < grey.shape[0] - REACH)
    y, x = np.nonzero(inside & (slope > least / 4))
    across = np.stack([slope_y[y, x], slope_x[y, x]]) / slope[y, x]
    place, here = np.stack([y, x]).astype(float), slope[y, x]
    steepest = np.ones(len(y), bool)
    for side in (-1, 1):
        steepest &= here >= map_coordinates(slope, place + side * across, order=1)
    across, place, here = across[:, steepest], place[:, steepest], here[steepest]
    contrast = sum(_rise(grey, place, across, side) for side in (-1, 1))
    strong = contrast >= least
    angles = np.degrees(np.arctan2(across[0], across[1]))
    return place[:, strong], (contrast / here)[strong] / math.sqrt(2 * math.pi), angles[strong]


def _rise(grey: np.ndarray, place: np.ndarray, across: np.ndarray, side: int) -> np.ndarray:
    """How much the values keep rising (``side`` 1) or falling (-1) on one side of each edge's middle."""
    last = start = map_coordinates(grey, place, order=1)
    going = np.ones(len(start), bool)
    for distance in np.arange(STEP, REACH + STEP, STEP):
        value = map_coordinates(grey, place + side * distance * across, order=1)
        going &= side * (value - last) > 0
        last = np.where(going, value, last)
    return side * (last - start)
