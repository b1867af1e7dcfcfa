"""Training settings for photos nobody has set anything for (docs/your_photos.md has the rule in words)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

SHARP = 0.7  # from this sharpness on, a photo counts as sharp (bags.preparation.sharpness)
LONG_SIDE = {"cpu": 640, "cuda": 1600}  # pixels at which training is bearable
STEPS = {"cpu": 2000, "cuda": None}  # null: the published number
MOST_GAUSSIANS = {"cpu": 60_000, "cuda": 1_000_000}
GAUSSIANS_PER_PIXEL = {"cpu": 0.25, "cuda": 1.0}  # of one training photo


def choose(sizes: Sequence[tuple[int, int]], sharpness: Sequence[float], device: str) -> dict[str, Any]:
    """Values by their keys.

    - Training resolution: the photos' size divided by the smallest power of two that brings the longest side to what
      the device bears.
    - Kernels: the defaults; smaller ones where most photos are sharp.
    - Steps: the published schedule on a GPU, a short one on a CPU.
    - Gaussians: as many as a training photo has pixels (on a CPU a quarter), and no more than the device bears.

    Args:
        sizes: width and height in pixels of every photo that was placed.
        sharpness: of the same photos.
        device: ``cpu`` or ``cuda``.
    """
    longest = max(max(size) for size in sizes)
    factor = next(
        divisor for divisor in (1, 2, 4, 8, 16, 32, 64) if longest / divisor <= LONG_SIDE[device] or divisor == 64
    )
    pixels = statistics.median(width * height for width, height in sizes) / factor**2
    gaussians = min(MOST_GAUSSIANS[device], max(10_000, round(GAUSSIANS_PER_PIXEL[device] * pixels, -3)))
    chosen: dict[str, Any] = {
        "dataset.factor": factor,
        "schedule.steps": STEPS[device],
        "model.gaussians.max_count": int(gaussians),
    }
    if statistics.median(sharpness) >= SHARP:
        chosen["model.bpn.kernels"] = (5, 7, 9)
    return chosen
