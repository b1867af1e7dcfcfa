"""Estimate, made before the start, of how long it takes to find the camera poses of photos."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from statistics import median

import numpy as np
from PIL import Image

from bags.preparation.pairs import pairs_of
from bags.preparation.sharpness import sharpness
from bags.settings import PrepareSettings

# Seconds on one core of an Intel Xeon (Sapphire Rapids, 2.1 GHz), fitted to the measurements in docs/benchmark.md.
# The number of features of photos of the same size varies by half, and the time with it.
START = 2.0  # once, to start the process
READ = 0.06  # per megapixel of a photo: decode, measure sharpness, copy
OPEN = 0.03  # per megapixel of a photo: decode again, reduce to ``prepare.feature_size``
LOOK = 0.05  # per megapixel of the reduced photo: detect features
DETAILS = 2200  # features per megapixel of a reduced photo, limited to ``prepare.features``
DESCRIBE = 0.0007  # per feature: compute its descriptor
COMPARE, COMPARE_DETAIL = 0.009, 15e-6  # per pair of photos; and per feature of one of them
PLACE = 0.055  # per photo and square root of the number of photos: register it, bundle adjustment
FLATTEN = 0.15  # per megapixel: undistort and write
PROBE = 0.045  # seconds that the probe of ``slowness`` takes on that processor


@dataclass(frozen=True)
class Placing:
    """Seconds of every part, and of starting the process."""

    start: float
    reading: float
    details: float
    comparing: float
    placing: float
    undistorting: float

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return sum(astuple(self))


def placing_seconds(
    count: int, width: int, height: int, settings: PrepareSettings, cores: int, slowness: float = 1.0
) -> Placing:
    """Expected time of ``task=prepare`` if the first, careful attempt is enough.

    Args:
        count: number of photos.
        width: of a typical photo in pixels.
        height: of a typical photo in pixels.
        settings: of the preparation.
        cores: available; ``prepare.threads`` may allow fewer.
        slowness: time of this machine's cores relative to those of the figures above.
    """
    threads = min(cores, settings.threads or cores)
    pixels = width * height / 1e6
    reduced = pixels * min(1.0, settings.feature_size / max(width, height)) ** 2
    details = min(settings.features, DETAILS * reduced)
    pairs = len(pairs_of(range(count)))
    return Placing(
        start=slowness * START,
        reading=slowness * count * READ * pixels,
        details=slowness * count * (OPEN * pixels + LOOK * reduced + DESCRIBE * details) / threads,
        comparing=slowness * pairs * (COMPARE + COMPARE_DETAIL * details) / threads,
        placing=slowness * count**1.5 * PLACE,
        undistorting=slowness * count * FLATTEN * pixels / threads,
    )


def slowness() -> float:
    """Slowness of one core of this machine under its current load, for ``placing_seconds``. Takes a quarter second."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 600), dtype=np.uint8))

    def once() -> float:
        begun = time.perf_counter()
        sharpness(picture)
        return time.perf_counter() - begun

    return median(once() for _ in range(5)) / PROBE
