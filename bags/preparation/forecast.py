"""How long it takes to place photos in space, told before it begins."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from statistics import median

import numpy as np
from PIL import Image

from bags.preparation.pairs import pairs_of
from bags.preparation.sharpness import sharpness
from bags.settings import PrepareSettings

# Seconds of one core of an Intel Xeon (Sapphire Rapids, 2.1 GHz); docs/benchmark.md has what they were fitted to.
# Photos of one size differ by half as much again in their details, and with them in time.
START = 2.0  # once: the process
READ = 0.06  # a megapixel of a photo: decoded, its sharpness measured, copied
OPEN = 0.03  # a megapixel of a photo: decoded again and reduced to ``prepare.feature_size``
LOOK = 0.05  # a megapixel of the reduced photo searched for details
DETAILS = 2200  # found on a megapixel of a reduced photo, and no more than ``prepare.features``
DESCRIBE = 0.0007  # a detail described
COMPARE, COMPARE_DETAIL = 0.009, 15e-6  # two photos compared; and each of the details of one of them
PLACE = 0.055  # a photo placed and all adjusted again now and then, times the square root of the number of photos
FLATTEN = 0.15  # a megapixel undistorted and written
PROBE = 0.045  # ``slowness`` = 1: seconds that the probe takes on that processor


@dataclass(frozen=True)
class Placing:
    """Seconds of every part, and of the process that does it."""

    start: float
    reading: float
    details: float
    comparing: float
    placing: float
    undistorting: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(astuple(self))


def placing_seconds(
    count: int, width: int, height: int, settings: PrepareSettings, cores: int, slowness: float = 1.0
) -> Placing:
    """Expected time of ``task=prepare``, where the careful settings are enough.

    Args:
        count: photos.
        width: of a usual one in pixels.
        height: of it in pixels.
        settings: of the preparation.
        cores: that may be used; ``prepare.threads`` may allow fewer.
        slowness: seconds that this machine's cores take for what takes one second of those the figures are from.
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
    """Of one core of this machine, now, beside whatever else it does: what ``placing_seconds`` asks for.

    Takes a quarter of a second.
    """
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 600), dtype=np.uint8))

    def once() -> float:
        begun = time.perf_counter()
        sharpness(picture)
        return time.perf_counter() - begun

    return median(once() for _ in range(5)) / PROBE
