"""How well kernels with a large reach can explain strong blur: ``python -m bags.benchmark.reach [photo ...]``.

Sharp pictures (of the built-in scene, and any given photos) are blurred with known kernels: straight and curved motion,
and discs. For every way to extend the reach of a dense kernel, least squares finds the best kernel that it can
represent (non-negative entries with sum 1, as a softmax and a mask give). The PSNR of its predicted blur is printed. It
is an upper bound for every network. docs/full_resolution.md has the results and the choice.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from bags.ops.psnr import psnr
from bags.ops.smoothing import box_taps

SIDE, BORDER = 240, 120  # side of the compared pixels, and border around them for the farthest tap and its smoothing
SAMPLES = 4000  # pixels used for the fit, and as many others to evaluate it
ITERATIONS = 3000
TAPS, STRIDES = 17, (2, 3, 4, 5)

Smoothing = Callable[[Tensor], Tensor]


def pictures(paths: list[str]) -> dict[str, Tensor]:
    """Sharp grey pictures (h, w) in [0, 1] with sides of ``SIDE + 2 BORDER`` pixels, from the middle of larger ones."""
    from PIL import Image

    from bags.datamodules.synthetic import make_synthetic_scene
    from bags.settings import SyntheticSettings

    settings = SyntheticSettings(width=960, height=640, train_views=2, test_views=1, samples=16, strength=0)
    whole = {"built-in scene": make_synthetic_scene(settings).test[0].load()}
    whole |= {Path(path).name: Image.open(path) for path in paths}
    side = SIDE + 2 * BORDER
    found = {}
    for name, picture in whole.items():
        grey = torch.from_numpy(np.array(picture.convert("L"))).double() / 255
        top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
        found[name] = grey[top : top + side, left : left + side]
    return found


def blurs() -> Iterator[tuple[str, Tensor]]:
    """Names and (n, n) kernels of known blurs."""
    for radius in (12, 20, 30, 40):
        yield f"straight {radius}", _path(radius, turn=0.0)
        yield f"curved {radius}", _path(radius, turn=2.0)
        yield f"disc {radius}", _disc(radius)


def _path(radius: float, turn: float) -> Tensor:
    """Motion along an arc that turns by ``turn`` radians; its farthest point is ``radius`` pixels from the middle."""
    time = np.linspace(-0.5, 0.5, 4000)
    heading = 0.5 + turn * time
    xy = np.cumsum(np.stack([np.cos(heading), np.sin(heading)]), axis=1)
    xy -= xy.mean(axis=1, keepdims=True)
    return _splat(xy * radius / np.hypot(*xy).max(), math.ceil(radius))


def _disc(radius: float) -> Tensor:
    steps = np.arange(-radius, radius, 0.125) + 0.0625
    xy = np.stack(np.meshgrid(steps, steps)).reshape(2, -1)
    return _splat(xy[:, np.hypot(*xy) <= radius], math.ceil(radius))


def _splat(xy: np.ndarray, reach: int) -> Tensor:
    """Kernel of points (2, n), in pixels from the middle, each distributed bilinearly over four pixels."""
    kernel = np.zeros((2 * reach + 3, 2 * reach + 3))
    corner = np.floor(xy).astype(int)
    part = xy - corner
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[0]) * np.abs(1 - dy - part[1])
            np.add.at(kernel, (corner[1] + dy + reach + 1, corner[0] + dx + reach + 1), weight)
    return torch.from_numpy(kernel / kernel.sum())


def _separable(taps: Tensor) -> Smoothing:
    def smooth(image: Tensor) -> Tensor:
        row = taps.to(image)[None, None, None]
        radius = len(taps) // 2
        return conv2d(conv2d(image[None, None], row, padding=(0, radius)), row.mT, padding=(radius, 0))[0, 0]

    return smooth


def _gaussian(sigma: float) -> Smoothing:
    radius = math.ceil(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    return _separable(taps / taps.sum())


def _through(stride: int) -> Smoothing:
    """Down by averaging, up by bicubic interpolation: the effect of equal kernels on a smaller image."""

    def smooth(image: Tensor) -> Tensor:
        small = avg_pool2d(image[None, None], stride)
        return interpolate(small, size=image.shape, mode="bicubic", align_corners=False)[0, 0]

    return smooth


def smoothings(stride: int) -> dict[str, Smoothing]:
    """Ways to smooth the image before it is sampled by taps ``stride`` pixels apart."""
    tent = (1 - torch.arange(-stride, stride + 1).abs() / stride) / stride
    found = {"none": lambda image: image, "box": _separable(box_taps(stride)), "tent": _separable(tent)}
    found |= {f"Gauss {part:g}s": _gaussian(part * stride) for part in (0.35, 0.5)}
    return found | {"down and up": _through(stride)}


def blurred_by(kernel: Tensor, sharp: Tensor) -> Tensor:
    """``sharp`` blurred; wraps around at the borders, which are not compared."""
    spread = torch.zeros_like(sharp)
    spread[: len(kernel), : len(kernel)] = kernel
    spread = spread.roll((-(len(kernel) // 2),) * 2, (0, 1))
    return torch.fft.irfft2(torch.fft.rfft2(sharp) * torch.fft.rfft2(spread), s=sharp.shape)


def best_psnr(sharp: Tensor, blurred: Tensor, stride: int, smooth: Smoothing) -> float:
    """PSNR of the best prediction of ``blurred`` from ``sharp``, by ``TAPS``^2 taps and the sharp pixel itself."""
    middle = slice(BORDER, BORDER + SIDE)
    target, smoothed = blurred[middle, middle].flatten(), smooth(sharp)
    offsets = [stride * (k - TAPS // 2) for k in range(TAPS)]
    columns = [
        smoothed[BORDER + y : BORDER + y + SIDE, BORDER + x : BORDER + x + SIDE] for y in offsets for x in offsets
    ]
    columns = [*columns, sharp[middle, middle]] if stride > 1 else columns
    order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    fit, judge = order[:SAMPLES], order[SAMPLES : 2 * SAMPLES]
    table = torch.stack([column.flatten() for column in columns], dim=1)
    return psnr(table[judge] @ _on_simplex(table[fit], target[fit]), target[judge])


def _on_simplex(table: Tensor, target: Tensor) -> Tensor:
    """Least squares with non-negative weights that sum to 1, by accelerated projected gradient with restarts."""
    gram, right = table.T @ table / len(table), table.T @ target / len(table)
    step = 1 / torch.linalg.eigvalsh(gram)[-1]
    weights = ahead = torch.full_like(right, 1 / len(right))
    speed = 1.0
    for _ in range(ITERATIONS):
        new = _projected(ahead - step * (gram @ ahead - right))
        if (ahead - new) @ (new - weights) > 0:  # it overshoots: restart the acceleration from here
            speed, ahead, weights = 1.0, new, new
            continue
        faster = (1 + math.sqrt(1 + 4 * speed * speed)) / 2
        ahead, weights, speed = new + (speed - 1) / faster * (new - weights), new, faster
    return weights


def _projected(point: Tensor) -> Tensor:
    """The nearest point with non-negative entries that sum to 1."""
    falling = point.sort(descending=True).values
    excess = (falling.cumsum(0) - 1) / torch.arange(1, len(point) + 1)
    last = int((falling > excess).sum()) - 1
    return (point - excess[last]).clamp_min(0)


def main(paths: list[str]) -> None:
    """Print a table for every picture, with one row per blur and one column per way to reach it."""
    console, middle = Console(), slice(BORDER, BORDER + SIDE)
    for name, sharp in pictures(paths).items():
        table = Table(title=f"{name}: PSNR of the best prediction with {TAPS} x {TAPS} taps", title_justify="left")
        ways = [(stride, *way) for stride in STRIDES for way in smoothings(stride).items()]
        for column in ("blur, radius in pixels", "sharp", "dense", *(f"{stride} {way}" for stride, way, _ in ways)):
            table.add_column(column)
        for blur, kernel in blurs():
            blurred = blurred_by(kernel, sharp)
            found = [psnr(sharp[middle, middle], blurred[middle, middle]), best_psnr(sharp, blurred, 1, lambda x: x)]
            found += [best_psnr(sharp, blurred, stride, smooth) for stride, _, smooth in ways]
            table.add_row(blur, *(f"{value:.1f}" for value in found))
        console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
