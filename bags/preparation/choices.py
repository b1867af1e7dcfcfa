"""Training settings for photos nobody has set anything for (docs/your_photos.md has the rule in words)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SHARP = 0.7  # from this sharpness on, a photo counts as sharp (bags.preparation.sharpness)
MINUTES = 15.0  # of training on a CPU
LONG_SIDE = {"cpu": 640, "cuda": 1600}  # pixels at which training is bearable, where no time is given
ENOUGH_STEPS = 1500  # with fewer, a smaller picture learned longer is the better one
SHORTEST, LONGEST = 200, 1600  # pixels of the longer side that a time budget chooses between
MOST_GAUSSIANS = {"cpu": 60_000, "cuda": 1_000_000}
GAUSSIANS_PER_PIXEL = {"cpu": 0.25, "cuda": 1.0}  # of one training photo
DIVISORS = (1, 2, 4, 8, 16, 32, 64)

Values = dict[str, Any]  # settings by their dotted keys


def choose(
    sizes: Sequence[tuple[int, int]],
    sharpness: Sequence[float],
    device: str,
    steps: Callable[[Mapping[str, Any]], int] | None = None,
) -> Values:
    """Values by their keys.

    - Training resolution: the photos' size divided by a power of two. With ``steps``, the largest at which
      ``ENOUGH_STEPS`` fit into the time; else the largest whose longer side the device bears.
    - Blur: kernels, as by default; where most photos are sharp, only where there is some (``auto``).
    - Time: ``MINUTES`` on a CPU, the published schedule on a GPU.
    - Gaussians: as many as a training photo has pixels (on a CPU a quarter), and no more than the device bears.

    Args:
        sizes: width and height in pixels of every photo that was placed.
        sharpness: of the same photos.
        device: ``cpu`` or ``cuda``.
        steps: how many fit into the time with some values; null: there is no time limit.
    """
    longest = max(max(size) for size in sizes)
    mostly_sharp = statistics.median(sharpness) >= SHARP
    blur: Values = {"model.blur_model": "auto"} if mostly_sharp else {}

    def values(factor: int) -> Values:
        pixels = statistics.median(width * height for width, height in sizes) / factor**2
        gaussians = min(MOST_GAUSSIANS[device], max(10_000, round(GAUSSIANS_PER_PIXEL[device] * pixels, -3)))
        return {"dataset.factor": factor, "model.gaussians.max_count": int(gaussians), **blur}

    if steps is None:
        factor = next(divisor for divisor in DIVISORS if longest / divisor <= LONG_SIDE[device] or divisor == 64)
    else:
        factor = largest_in_time(longest, lambda factor: steps(values(factor)))
    return values(factor) | ({"schedule.minutes": MINUTES} if device == "cpu" else {})


def largest_in_time(longest: int, steps: Callable[[int], int]) -> int:
    """The smallest divisor of a photo of ``longest`` pixels at which ``ENOUGH_STEPS`` fit; tries the coarsest first.

    A step at half the divisor takes four times as long at least, so that what cannot fit is not tried.
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
