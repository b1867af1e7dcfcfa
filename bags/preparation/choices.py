"""Automatic training settings for a user's photos (docs/your_photos.md describes the rules)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MINUTES = 15.0  # of training on a CPU
LONG_SIDE = {"cpu": 640, "cuda": 1600}  # largest longer side in pixels without a time budget
ENOUGH_STEPS = 1500  # with fewer steps, a lower resolution with more steps is better
SHORTEST, LONGEST = 200, 1600  # range of the longer side in pixels with a time budget
MOST_GAUSSIANS = {"cpu": 60_000, "cuda": 1_000_000}
GAUSSIANS_PER_PIXEL = {"cpu": 0.25, "cuda": 1.0}  # of one training photo
DIVISORS = (1, 2, 4, 8, 16, 32, 64)

Values = dict[str, Any]  # settings by their dotted keys


def choose(
    sizes: Sequence[tuple[int, int]],
    device: str,
    steps: Callable[[Mapping[str, Any]], int] | None = None,
) -> Values:
    """Choose values for settings, by their dotted keys.

    - Training resolution: the photos' size divided by a power of two. With ``steps``, the largest at which
      ``ENOUGH_STEPS`` fit into the time; else the largest whose longer side is within the limit of the device.
    - Time: ``MINUTES`` on a CPU, the published schedule on a GPU.
    - Gaussians: as many as a training photo has pixels (on a CPU a quarter), within the limit of the device.

    Args:
        sizes: width and height in pixels of every photo whose camera pose was found.
        device: ``cpu`` or ``cuda``.
        steps: returns how many steps fit into the time with given values; None: there is no time limit.
    """
    longest = max(max(size) for size in sizes)

    def values(factor: int) -> Values:
        pixels = statistics.median(width * height for width, height in sizes) / factor**2
        gaussians = min(MOST_GAUSSIANS[device], max(10_000, round(GAUSSIANS_PER_PIXEL[device] * pixels, -3)))
        return {"dataset.factor": factor, "model.gaussians.max_count": int(gaussians)}

    if steps is None:
        factor = next(divisor for divisor in DIVISORS if longest / divisor <= LONG_SIDE[device] or divisor == 64)
    else:
        factor = largest_in_time(longest, lambda factor: steps(values(factor)))
    return values(factor) | ({"schedule.minutes": MINUTES} if device == "cpu" else {})


def largest_in_time(longest: int, steps: Callable[[int], int]) -> int:
    """The smallest divisor of a photo of ``longest`` pixels at which ``ENOUGH_STEPS`` fit; tries the coarsest first.

    A step at half the divisor takes at least four times as long, so divisors that cannot fit are not tried.
    """
    tried = [divisor for divisor in DIVISORS if SHORTEST <= longest / divisor <= LONGEST][::-1] or [1]
    best = tried[0]
    for divisor in tried:
        fit = steps(divisor)
        if fit >= ENOUGH_STEPS:
            best = divisor
        if fit < 4 * ENOUGH_STEPS:
            break
    return best
