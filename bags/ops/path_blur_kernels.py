"""Numba kernels of the blur along a camera's path (float32, CPU); ``bags.ops.path_blur`` says what they compute.

Pixels lie in memory with their channels side by side, four of them, so that LLVM handles a pixel as one short vector.
"""

# mypy: disable-error-code="no-untyped-def,call-overload"
from __future__ import annotations

import numpy as np

from bags.ops.numba_cache import njit

_F = np.float32
_FLAGS = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
NEAREST = _F(1e-6)  # view-space z, scene units; ``bags.ops.path_blur`` has the same


@njit(inline="always", **_FLAGS)
def _rows(matrix, x, y, z):
    """Homogeneous image coordinates of a point."""
    a = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
    b = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
    c = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    return a, b, c


@njit(inline="always", **_FLAGS)
def _cell(place, size):
    """The pixel before a coordinate, how far the coordinate lies beyond it, and if it lies within the image."""
    last = _F(size - 1)
    clamped = min(max(place, _F(0.0)), last)
    before = min(int(clamped), max(size - 2, 0))
    return before, clamped - _F(before), place == clamped


@njit(**_FLAGS)
def forward_rows(image, points, projections, weights, blurred, start, stop):
    """The rows ``start`` to ``stop - 1`` of the blurred image.

    Args:
        image: (H', W', 4), at least 2 pixels wide and high.
        points: (H, W, 3) in the camera's axes.
        projections: (T, 3, 4).
        weights: (T,).
        blurred: (H, W, 4), is filled.
        start: first row.
        stop: one past the last.
    """
    height, width = image.shape[:2]
    for y in range(start, stop):
        for x in range(points.shape[1]):
            px, py, pz = points[y, x, 0], points[y, x, 1], points[y, x, 2]
            r, g, b, s = _F(0.0), _F(0.0), _F(0.0), _F(0.0)
            for t in range(weights.size):
                across, down, depth = _rows(projections[t], px, py, pz)
                inverse = _F(1.0) / max(depth, NEAREST)
                column, u, _ = _cell(across * inverse, width)
                row, v, _ = _cell(down * inverse, height)
                above, below, weight = image[row], image[row + 1], weights[t]
                a, c = weight * (_F(1.0) - v) * (_F(1.0) - u), weight * (_F(1.0) - v) * u
                d, e = weight * v * (_F(1.0) - u), weight * v * u
                p, q, k, m = above[column], above[column + 1], below[column], below[column + 1]
                r += a * p[0] + c * q[0] + d * k[0] + e * m[0]
                g += a * p[1] + c * q[1] + d * k[1] + e * m[1]
                b += a * p[2] + c * q[2] + d * k[2] + e * m[2]
                s += a * p[3] + c * q[3] + d * k[3] + e * m[3]
            out = blurred[y, x]
            out[0], out[1], out[2], out[3] = r, g, b, s


@njit(**_FLAGS)
def backward_rows(image, points, projections, weights, gradient, of_image, of_projections, start, stop):
    """Add the gradients that come by the rows ``start`` to ``stop - 1`` of the blurred image.

    Args:
        image: (H', W', 4), at least 2 pixels wide and high.
        points: (H, W, 3) in the camera's axes.
        projections: (T, 3, 4).
        weights: (T,).
        gradient: (H, W, 4) of the blurred image.
        of_image: (H', W', 4) of the image.
        of_projections: (T, 3, 4), float64.
        start: first row.
        stop: one past the last.
    """
    height, width = image.shape[:2]
    sums = np.empty((weights.size, 3, 4), _F)
    for y in range(start, stop):
        sums[:] = _F(0.0)  # of a row: short enough for float32
        for x in range(points.shape[1]):
            px, py, pz = points[y, x, 0], points[y, x, 1], points[y, x, 2]
            back = gradient[y, x]
            r, g, b = back[0], back[1], back[2]
            for t in range(weights.size):
                across, down, depth = _rows(projections[t], px, py, pz)
                inverse = _F(1.0) / max(depth, NEAREST)
                column, u, inside_x = _cell(across * inverse, width)
                row, v, inside_y = _cell(down * inverse, height)
                weight = weights[t]
                above, below = image[row], image[row + 1]
                p, q, k, m = above[column], above[column + 1], below[column], below[column + 1]
                one = r * p[0] + g * p[1] + b * p[2]
                two = r * q[0] + g * q[1] + b * q[2]
                three = r * k[0] + g * k[1] + b * k[2]
                four = r * m[0] + g * m[1] + b * m[2]
                of_x = weight * ((_F(1.0) - v) * (two - one) + v * (four - three)) * _F(inside_x)
                of_y = weight * ((_F(1.0) - u) * (three - one) + u * (four - two)) * _F(inside_y)
                a, c = weight * (_F(1.0) - v) * (_F(1.0) - u), weight * (_F(1.0) - v) * u
                d, e = weight * v * (_F(1.0) - u), weight * v * u
                above, below = of_image[row], of_image[row + 1]
                p, q, k, m = above[column], above[column + 1], below[column], below[column + 1]
                for i in range(4):
                    p[i] += a * back[i]
                    q[i] += c * back[i]
                    k[i] += d * back[i]
                    m[i] += e * back[i]
                of_x, of_y = of_x * inverse, of_y * inverse
                of_z = -(of_x * across + of_y * down) * inverse * _F(depth > NEAREST)
                into = sums[t]
                into[0, 0] += of_x * px
                into[0, 1] += of_x * py
                into[0, 2] += of_x * pz
                into[0, 3] += of_x
                into[1, 0] += of_y * px
                into[1, 1] += of_y * py
                into[1, 2] += of_y * pz
                into[1, 3] += of_y
                into[2, 0] += of_z * px
                into[2, 1] += of_z * py
                into[2, 2] += of_z * pz
                into[2, 3] += of_z
        of_projections += sums


@njit(**_FLAGS)
def forward_piece(piece, pieces, image, points, projections, weights, blurred):
    """One of ``pieces`` bands of rows."""
    rows = points.shape[0]
    forward_rows(image, points, projections, weights, blurred, rows * piece // pieces, rows * (piece + 1) // pieces)


@njit(**_FLAGS)
def backward_piece(piece, pieces, image, points, projections, weights, gradient, of_image, of_projections):
    """One of ``pieces`` bands of rows; each adds to its own share of ``of_image`` and ``of_projections``."""
    rows = points.shape[0]
    start, stop = rows * piece // pieces, rows * (piece + 1) // pieces
    backward_rows(image, points, projections, weights, gradient, of_image[piece], of_projections[piece], start, stop)
