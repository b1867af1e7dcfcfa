"""Numba kernels of ``bags.ops.ssim`` for (C, H, W) float32 images; imported at first use only.

Both passes of the separable window work on whole rows, so that LLVM vectorises every inner loop. Each kernel call
processes one piece of the C * H rows, for ``run_pieces``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bags.ops.numba_cache import njit
from bags.ops.ssim_reference import C1, C2, RADIUS, window
from bags.ops.threads import piece_count, run_pieces

Images = NDArray[np.float32]

TAPS = window().numpy().astype(np.float32)
_C1, _C2 = np.float32(C1), np.float32(C2)
_ONE, _TWO = np.float32(1), np.float32(2)
_FAST = {"reassoc", "contract", "arcp", "nsz"}  # fast maths without the assumption that there is no NaN or infinity
_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": _FAST, "nogil": True, "error_model": "numpy"}


@njit(inline="always", **_OPTIONS)
def _blur_row(padded: Any, out: Any) -> None:
    """Blur one row horizontally: ``padded`` has RADIUS zeros at either end."""
    width = out.shape[0]
    for x in range(width):
        out[x] = TAPS[0] * padded[x]
    for k in range(1, 2 * RADIUS + 1):
        tap, part = TAPS[k], padded[k : k + width]
        for x in range(width):
            out[x] += tap * part[x]


@njit(inline="always", **_OPTIONS)
def _blur_column(rows: Any, y: int, out: Any) -> None:
    """Row ``y`` of the vertical blur of ``rows`` (H, W), with zeros beyond the border."""
    for x in range(out.shape[0]):
        out[x] = np.float32(0)
    for k in range(max(0, y - RADIUS), min(rows.shape[0], y + RADIUS + 1)):
        tap, part = TAPS[k - y + RADIUS], rows[k]
        for x in range(out.shape[0]):
            out[x] += tap * part[x]


@njit(**_OPTIONS)
def _moments(piece: int, pieces: int, image: Images, photo: Images, out: Images) -> None:
    """Write x, y, xx, yy and xy, blurred horizontally, to ``out`` (C, 5, H, W)."""
    channels, height, width = image.shape
    padded = np.zeros((5, width + 2 * RADIUS), np.float32)
    for place in range(piece * channels * height // pieces, (piece + 1) * channels * height // pieces):
        c, y = place // height, place % height
        a, b = image[c, y], photo[c, y]
        for x in range(width):
            padded[0, x + RADIUS] = a[x]
            padded[1, x + RADIUS] = b[x]
            padded[2, x + RADIUS] = a[x] * a[x]
            padded[3, x + RADIUS] = b[x] * b[x]
            padded[4, x + RADIUS] = a[x] * b[x]
        for m in range(5):
            _blur_row(padded[m], out[c, m, y])


@njit(**_OPTIONS)
def _similarity(piece: int, pieces: int, moments: Images, sums: Images, slopes: Images) -> None:
    """Write the sum of SSIM over each row (C * H,), and its derivatives (C, 3, H, W) by the blurred x, xx and xy."""
    channels, _, height, width = moments.shape
    row = np.empty((5, width), np.float32)
    for place in range(piece * channels * height // pieces, (piece + 1) * channels * height // pieces):
        c, y = place // height, place % height
        for m in range(5):
            _blur_column(moments[c, m], y, row[m])
        mean_x, mean_y, square_x, square_y, product = row[0], row[1], row[2], row[3], row[4]
        by_mean, by_square, by_product = slopes[c, 0, y], slopes[c, 1, y], slopes[c, 2, y]
        total = np.float32(0)
        for x in range(width):
            p, q = mean_x[x], mean_y[x]
            a1 = _TWO * p * q + _C1
            a2 = _TWO * (product[x] - p * q) + _C2
            b1 = _ONE / (p * p + q * q + _C1)
            b2 = _ONE / (square_x[x] - p * p + square_y[x] - q * q + _C2)
            s = a1 * a2 * b1 * b2
            total += s
            by_mean[x] = _TWO * q * (a2 - a1) * b1 * b2 + _TWO * p * s * (b2 - b1)
            by_square[x] = -s * b2
            by_product[x] = _TWO * a1 * b1 * b2
        sums[place] = total


@njit(**_OPTIONS)
def _gradient(
    piece: int, pieces: int, image: Images, photo: Images, slopes: Images, scale: np.float32, out: Images
) -> None:
    """Write ``scale`` x the derivative of the summed SSIM by each pixel, from the ``slopes`` blurred by the window."""
    channels, height, width = image.shape
    padded = np.zeros((3, width + 2 * RADIUS), np.float32)
    row = np.empty((3, width), np.float32)
    for place in range(piece * channels * height // pieces, (piece + 1) * channels * height // pieces):
        c, y = place // height, place % height
        for m in range(3):
            _blur_column(slopes[c, m], y, padded[m, RADIUS : RADIUS + width])
            _blur_row(padded[m], row[m])
        by_mean, by_square, by_product = row[0], row[1], row[2]
        a, b, result = image[c, y], photo[c, y], out[c, y]
        for x in range(width):
            result[x] = scale * (by_mean[x] + _TWO * a[x] * by_square[x] + b[x] * by_product[x])


def _pieces(image: Images) -> int:
    return piece_count(image.shape[0] * image.shape[1], smallest=32)


def ssim_and_slopes(image: Images, photo: Images) -> tuple[float, Images]:
    """Mean SSIM, and the derivatives (C, 3, H, W) that ``image_gradient`` needs."""
    channels, height, width = image.shape
    moments = np.empty((channels, 5, height, width), np.float32)
    sums = np.empty(channels * height, np.float32)
    slopes = np.empty((channels, 3, height, width), np.float32)
    run_pieces(_moments, _pieces(image), image, photo, moments)
    run_pieces(_similarity, _pieces(image), moments, sums, slopes)
    return float(sums.sum(dtype=np.float64) / image.size), slopes


def image_gradient(image: Images, photo: Images, slopes: Images, factor: float) -> Images:
    """(C, H, W) ``factor`` x the derivative of the mean SSIM by each pixel of ``image``."""
    gradient = np.empty_like(image)
    run_pieces(_gradient, _pieces(image), image, photo, slopes, np.float32(factor / image.size), gradient)
    return gradient
