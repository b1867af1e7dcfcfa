"""Numba kernels of the blur along a camera's path (float32, CPU); ``bags.ops.path_blur`` says what they compute.

For each row and instant there are separate loops over the pixels. LLVM vectorises those that read and write in order.
The channels of a pixel are adjacent in memory and padded to four, so that the loops which access the image at arbitrary
places handle a pixel as one short vector.
"""

# mypy: disable-error-code="no-untyped-def,call-overload"
from __future__ import annotations

import numpy as np

from bags.ops.numba_cache import njit

_F = np.float32
_U = np.uint64
_FLAGS = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_INLINED = {**_FLAGS, "cache": False, "forceinline": True}
_SUMS = {**_FLAGS, "fastmath": {"contract", "nsz", "arcp", "reassoc"}}  # else no sum is vectorised
NEAREST = _F(1e-6)  # view-space z, scene units; ``bags.ops.path_blur`` has the same


@njit(**_FLAGS)
def _find(points, matrix, height, width, pixel, places):
    """Compute where the points of a row are seen.

    Args:
        points: (3, W) in the camera's axes.
        matrix: (3, 4) to homogeneous pixels.
        height: of the image.
        width: of the image.
        pixel: (W,) int32, is filled: index, in the image with its borders, of the first of 16 pixels around the place.
        places: (5, W), is filled: how far the place lies to the right of the second of their columns, in [0, 1], and
            below the second of their rows; 1 / z, or 0 for z up to ``NEAREST``, where the gradient is zero; column and
            row of the place, or 0 beyond the image, where the gradient is zero.
    """
    right, down, inverse, across, below = places[0], places[1], places[2], places[3], places[4]
    x, y, z = points[0], points[1], points[2]
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[0, 2], matrix[0, 3]
    e, f, g, h = matrix[1, 0], matrix[1, 1], matrix[1, 2], matrix[1, 3]
    i, j, k, m = matrix[2, 0], matrix[2, 1], matrix[2, 2], matrix[2, 3]
    last_column, last_row = _F(width - 1), _F(height - 1)
    most_left, most_up = np.int32(width - 2), np.int32(height - 2)
    for n in range(_U(pixel.size)):
        depth = i * x[n] + j * y[n] + k * z[n] + m
        once = _F(1.0) / max(depth, NEAREST)
        column = (a * x[n] + b * y[n] + c * z[n] + d) * once
        row = (e * x[n] + f * y[n] + g * z[n] + h) * once
        held_column = min(column, last_column) if column > _F(0.0) else _F(0.0)  # NaN too: as an index it would crash
        held_row = min(row, last_row) if row > _F(0.0) else _F(0.0)
        left, up = min(np.int32(held_column), most_left), min(np.int32(held_row), most_up)
        pixel[n] = up * np.int32(width + 2) + left
        right[n] = held_column - _F(left)
        down[n] = held_row - _F(up)
        inverse[n] = once if depth > NEAREST else _F(0.0)
        across[n] = column if column == held_column else _F(0.0)
        below[n] = row if row == held_row else _F(0.0)


@njit(**_INLINED)
def _cubic(u):
    """The weights ``bags.ops.path_blur.cubic_weights``."""
    v = _F(1.0) - u
    second, third = (_F(1.5) * u - _F(2.5)) * u * u + _F(1.0), (_F(1.5) * v - _F(2.5)) * v * v + _F(1.0)
    return _F(-0.5) * u * v * v, second, third, _F(-0.5) * v * u * u


@njit(**_INLINED)
def _cubic_slope(u):
    """Derivatives of ``_cubic``."""
    v = _F(1.0) - u
    second, third = (_F(4.5) * u - _F(5.0)) * u, -(_F(4.5) * v - _F(5.0)) * v
    return _F(-0.5) * v * (v - _F(2.0) * u), second, third, _F(-0.5) * u * (_F(2.0) * v - u)


@njit(**_FLAGS)
def _look_up(image, width, pixel, places, weight, out):
    """Add ``weight`` times the image at the places of ``_find`` to the row ``out`` (W, 4)."""
    right, down = places[0], places[1]
    line = width + 2
    for n in range(pixel.size):
        a, b, c, d = _cubic(right[n])
        e, f, g, h = _cubic(down[n])
        into, at = out[n], pixel[n]
        for factor in (weight * e, weight * f, weight * g, weight * h):
            p, q, k, m = image[at], image[at + 1], image[at + 2], image[at + 3]
            for i in range(4):
                into[i] += factor * (a * p[i] + b * q[i] + c * k[i] + d * m[i])
            at += line


@njit(**_FLAGS)
def _look_back(image, width, pixel, places, weight, gradient, of_image, of_places):
    """The backward pass of ``_look_up``: adds to ``of_image``, and fills ``of_places`` (2, W), columns and rows."""
    right, down, of_across, of_below = places[0], places[1], of_places[0], of_places[1]
    line = width + 2
    for n in range(pixel.size):
        a, b, c, d = _cubic(right[n])
        e, f, g, h = _cubic(down[n])
        a_slope, b_slope, c_slope, d_slope = _cubic_slope(right[n])
        e_slope, f_slope, g_slope, h_slope = _cubic_slope(down[n])
        back, at = gradient[n], pixel[n]
        across, below = _F(0.0), _F(0.0)
        for factor, slope in ((e, e_slope), (f, f_slope), (g, g_slope), (h, h_slope)):
            p, q, k, m = image[at], image[at + 1], image[at + 2], image[at + 3]
            one = back[0] * p[0] + back[1] * p[1] + back[2] * p[2]
            two = back[0] * q[0] + back[1] * q[1] + back[2] * q[2]
            three = back[0] * k[0] + back[1] * k[1] + back[2] * k[2]
            four = back[0] * m[0] + back[1] * m[1] + back[2] * m[2]
            across += factor * (a_slope * one + b_slope * two + c_slope * three + d_slope * four)
            below += slope * (a * one + b * two + c * three + d * four)
            p, q, k, m = of_image[at], of_image[at + 1], of_image[at + 2], of_image[at + 3]
            one, two = weight * factor * a, weight * factor * b
            three, four = weight * factor * c, weight * factor * d
            for i in range(4):
                p[i] += one * back[i]
            for i in range(4):
                q[i] += two * back[i]
            for i in range(4):
                k[i] += three * back[i]
            for i in range(4):
                m[i] += four * back[i]
            at += line
        of_across[n] = weight * across
        of_below[n] = weight * below


@njit(**_SUMS)
def _project_back(points, height, width, places, of_places, sums):
    """The backward pass of ``_find``: adds to the gradient of the projection, ``sums`` (3, 4)."""
    inverse, across, below, of_across, of_below = places[2], places[3], places[4], of_places[0], of_places[1]
    x, y, z = points[0], points[1], points[2]
    last_column, last_row = _F(width - 1), _F(height - 1)
    a, b, c, d = _F(0.0), _F(0.0), _F(0.0), _F(0.0)
    e, f, g, h = _F(0.0), _F(0.0), _F(0.0), _F(0.0)
    i, j, k, m = _F(0.0), _F(0.0), _F(0.0), _F(0.0)
    for n in range(_U(inverse.size)):
        of_x, of_y = of_across[n] * inverse[n], of_below[n] * inverse[n]
        of_x = of_x if across[n] > _F(0.0) and across[n] < last_column else _F(0.0)
        of_y = of_y if below[n] > _F(0.0) and below[n] < last_row else _F(0.0)
        of_z = -(of_x * across[n] + of_y * below[n])
        a += of_x * x[n]
        b += of_x * y[n]
        c += of_x * z[n]
        d += of_x
        e += of_y * x[n]
        f += of_y * y[n]
        g += of_y * z[n]
        h += of_y
        i += of_z * x[n]
        j += of_z * y[n]
        k += of_z * z[n]
        m += of_z
    for row, found in enumerate(((a, b, c, d), (e, f, g, h), (i, j, k, m))):
        for column in range(4):
            sums[row, column] += found[column]


@njit(**_FLAGS)
def forward_piece(piece, pieces, image, size, points, projections, weights, blurred):
    """One of ``pieces`` bands of rows.

    Args:
        piece: its number.
        pieces: how many there are.
        image: ((H' + 2) * (W' + 2), 4), with its borders; at least 2 pixels wide and high without them.
        size: H' and W'.
        points: (H, 3, W) in the camera's axes.
        projections: (T, 3, 4).
        weights: (T,).
        blurred: (H, W, 4), zeros; is filled.
    """
    (height, width), count = size, points.shape[2]
    pixel, places = np.empty(count, np.int32), np.empty((5, count), _F)
    rows = points.shape[0]
    for y in range(rows * piece // pieces, rows * (piece + 1) // pieces):
        for t in range(weights.size):
            _find(points[y], projections[t], height, width, pixel, places)
            _look_up(image, width, pixel, places, weights[t], blurred[y])


@njit(**_FLAGS)
def backward_piece(piece, pieces, image, size, points, projections, weights, gradient, of_image, of_projections):
    """One of ``pieces`` bands of rows.

    Args:
        piece: its number.
        pieces: how many there are.
        image: ((H' + 2) * (W' + 2), 4), with its borders; at least 2 pixels wide and high without them.
        size: H' and W'.
        points: (H, 3, W) in the camera's axes.
        projections: (T, 3, 4).
        weights: (T,).
        gradient: (H, W, 4) of the blurred image.
        of_image: (pieces, (H' + 2) * (W' + 2), 4) of the image, zeros; the piece's share is filled.
        of_projections: (pieces, T, 3, 4), float64, zeros; the piece's share is filled.
    """
    (height, width), count = size, points.shape[2]
    pixel, places, of_places = np.empty(count, np.int32), np.empty((5, count), _F), np.empty((2, count), _F)
    rows = points.shape[0]
    for y in range(rows * piece // pieces, rows * (piece + 1) // pieces):
        for t in range(weights.size):
            _find(points[y], projections[t], height, width, pixel, places)
            _look_back(image, width, pixel, places, weights[t], gradient[y], of_image[piece], of_places)
            _project_back(points[y], height, width, places, of_places, of_projections[piece, t])
