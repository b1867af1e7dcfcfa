"""Numba kernels of a lens's blur (float32, CPU); ``bags.ops.defocus`` says what they compute.

There is a loop over the pixels of a row for each of their neighbours, which reads and writes in order, so that LLVM
vectorises it. Neighbours that no disc reaches are left out.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from bags.ops.numba_cache import njit

_F = np.float32
_U = np.uint64
_FLAGS = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
NEARER, SOFT = _F(0.97), _F(0.5)  # ``bags.ops.defocus`` has the same


@njit(**_FLAGS)
def _pixels(image, row, begin, end):
    """The pixels ``begin`` to ``end`` of a row of ``image`` (3, H, W), by channel."""
    return image[0, row, begin:end], image[1, row, begin:end], image[2, row, begin:end]


@njit(**_FLAGS)
def _own(maps, row, reach, limit):
    """Radius and share of the pixels of a row without its border, and ``limit`` filled for them."""
    end = maps.shape[2] - reach
    radius, share, distance = _pixels(maps, row, reach, end)
    for x in range(_U(limit.size)):
        limit[x] = NEARER * distance[x]
    return radius, share, limit


@njit(**_FLAGS)
def _add(away, neighbour, own, red, green, blue, total):
    """Add the light of a row of neighbours, and their weights to ``total``.

    Args:
        away: their distance from the pixels, minus ``SOFT``.
        neighbour: their red, green, blue, radius, share and distance, (W,) each.
        own: radius, share and ``NEARER`` times the distance of the pixels.
        red: (W,) sum of red.
        green: of green.
        blue: of blue.
        total: of the weights.
    """
    from_red, from_green, from_blue, radius, share, distance = neighbour
    own_radius, own_share, limit = own
    for x in range(_U(total.size)):
        near = distance[x] < limit[x]
        weight = min(max((radius[x] if near else own_radius[x]) - away, _F(0.0)), _F(1.0))
        weight *= share[x] if near else own_share[x]
        total[x] += weight
        red[x] += weight * from_red[x]
        green[x] += weight * from_green[x]
        blue[x] += weight * from_blue[x]


@njit(**_FLAGS)
def forward_piece(piece, pieces, reach, edges, image, maps, light, total):
    """One of ``pieces`` bands of rows.

    Args:
        piece: its number.
        pieces: how many there are.
        reach: width of the border, pixels.
        edges: (H,) how far the light spreads of any pixel whose light may arrive at the row.
        image: (3, H + 2 reach, W + 2 reach).
        maps: of the same size: radius, share and distance.
        light: (3, H, W) zeros; is filled with the blurred image.
        total: (H, W) zeros; is filled with the sums of the weights.
    """
    rows, width = total.shape
    limit = np.empty(width, _F)
    for y in range(rows * piece // pieces, rows * (piece + 1) // pieces):
        red, green, blue = _pixels(light, y, 0, width)
        sums, here = total[y], y + reach
        own = _own(maps, here, reach, limit)
        for j in range(-reach, reach + 1):
            for i in range(-reach, reach + 1):
                away, row, a, b = _F(math.sqrt(i * i + j * j)), here + j, reach + i, reach + i + width
                if away < edges[y]:
                    neighbour = _pixels(image, row, a, b) + _pixels(maps, row, a, b)
                    _add(away - SOFT, neighbour, own, red, green, blue, sums)
        for x in range(_U(width)):
            once = _F(1.0) / sums[x]
            red[x] *= once
            green[x] *= once
            blue[x] *= once


@njit(**_FLAGS)
def _add_back(away, neighbour, own, back, of_neighbour, of_own):
    """The backward pass of ``_add``.

    Args:
        away: as there.
        neighbour: as there.
        own: as there.
        back: gradients of red, green and blue over the sum of the weights; their scalar product with the result.
        of_neighbour: gradients of red, green, blue, radius and share of the neighbours; is added to.
        of_own: gradients of radius and share of the pixels; is added to.
    """
    red, green, blue, radius, share, distance = neighbour
    own_radius, own_share, limit = own
    back_red, back_green, back_blue, rest = back
    of_red, of_green, of_blue, of_radius, of_share = of_neighbour
    of_own_radius, of_own_share = of_own
    for x in range(_U(rest.size)):
        near = distance[x] < limit[x]
        inside = (radius[x] if near else own_radius[x]) - away
        part = share[x] if near else own_share[x]
        height = min(max(inside, _F(0.0)), _F(1.0))
        weight = part * height
        of_red[x] += weight * back_red[x]
        of_green[x] += weight * back_green[x]
        of_blue[x] += weight * back_blue[x]
        of_weight = back_red[x] * red[x] + back_green[x] * green[x] + back_blue[x] * blue[x] - rest[x]
        slope = part * of_weight if inside > _F(0.0) and inside < _F(1.0) else _F(0.0)
        of_part = height * of_weight
        of_radius[x] += slope if near else _F(0.0)
        of_share[x] += of_part if near else _F(0.0)
        of_own_radius[x] += _F(0.0) if near else slope
        of_own_share[x] += _F(0.0) if near else of_part


@njit(**_FLAGS)
def backward_piece(piece, pieces, reach, edges, image, maps, back, rest, of_image, of_discs):
    """One of ``pieces`` bands of rows.

    Args:
        piece: its number.
        pieces: how many there are.
        reach: width of the border, pixels.
        edges: (H,) how far the light spreads of any pixel whose light may arrive at the row.
        image: (3, H + 2 reach, W + 2 reach).
        maps: of the same size: radius, share and distance.
        back: (3, H, W) gradient of the blurred image over the sums of the weights.
        rest: (H, W) the scalar product of ``back`` and the blurred image.
        of_image: (pieces, 3, H + 2 reach, W + 2 reach) of the image, zeros; the piece's share is filled.
        of_discs: (pieces, 2, H + 2 reach, W + 2 reach) of radius and share, zeros; the piece's share is filled.
    """
    rows, width = rest.shape
    limit, of_radius, of_share = np.empty(width, _F), np.empty(width, _F), np.empty(width, _F)
    into_image, into_discs = of_image[piece], of_discs[piece]
    for y in range(rows * piece // pieces, rows * (piece + 1) // pieces):
        here = y + reach
        of_radius[:], of_share[:] = _F(0.0), _F(0.0)
        own = _own(maps, here, reach, limit)
        light = (*_pixels(back, y, 0, width), rest[y])
        for j in range(-reach, reach + 1):
            for i in range(-reach, reach + 1):
                away, row, a, b = _F(math.sqrt(i * i + j * j)), here + j, reach + i, reach + i + width
                if away < edges[y]:
                    neighbour = _pixels(image, row, a, b) + _pixels(maps, row, a, b)
                    of_disc = into_discs[0, row, a:b], into_discs[1, row, a:b]
                    of_neighbour = _pixels(into_image, row, a, b) + of_disc
                    _add_back(away - SOFT, neighbour, own, light, of_neighbour, (of_radius, of_share))
        for x in range(_U(width)):
            into_discs[0, here, x + reach] += of_radius[x]
            into_discs[1, here, x + reach] += of_share[x]
