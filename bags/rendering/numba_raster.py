"""Numba kernels that sort Gaussians into tiles and blend them, forward and backward.

What makes them fast and repeatable:

* The unit of work is a 16-pixel row of a tile. Its pixels are in one flat float32 buffer at constant offsets, indexed
  with unsigned integers only. This lets LLVM vectorise the loops over a row (a test reads the assembly).
* The exponent is ``log2(opacity) - (l11 dx + l21 dy)^2 - (l22 dy)^2``. The Cholesky factor of the conic costs no more
  than the conic and has no cancellation for thin Gaussians. The exponent lies in [-8, 0] wherever alpha counts, so
  2^e = p(e)^8 with a polynomial p.
* Gaussians are packed in depth order, 64 bytes each, and prefetched. Rows of a tile that a Gaussian cannot reach are
  skipped.
* Tiles are blended by functions that LLVM always inlines. Without inlining, the process that compiles a function would
  have two copies of it that round differently, and a process that loads it from the cache only one. So the first run
  would not be repeatable.
* In the backward pass every (tile, Gaussian) pair writes its own slot. The slots of a Gaussian are contiguous and are
  summed in a fixed order, without atomics, so results are bitwise independent of the number of threads. The slots of
  a tile are scattered over memory, so they are prefetched too.
"""

# mypy: disable-error-code="no-untyped-def,call-arg"
# Numba infers the types: arrays are C-contiguous, float32 unless a docstring says otherwise.

from __future__ import annotations

from math import ceil, floor, log, log2, sqrt

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import Chebyshev, Polynomial

from bags.ops.numba_cache import njit
from bags.rendering.base import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, TILE

# Without "nnan" and "ninf": a diverged loss may send NaN or infinite gradients, which must be passed on as such.
FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}

# Packed Gaussian: centre, Cholesky factor, log2(opacity), colour, distance, first and last image row, tile rectangle.
X, Y, L11, L21, L22, LOG_OPACITY, RED, GREEN, BLUE, DISTANCE = range(10)
TOP, BOTTOM, TILE_X0, TILE_X1, TILE_Y0, TILE_Y1 = range(10, 16)
PACKED = 16
# Backward slot: sums of d, d dx, d dy, d dx^2, d dx dy, d dy^2, and of weight times the 4 output gradients.
MOMENTS = 10

LANES = np.uint64(TILE)
TILE_ROWS = TILE
FORWARD_ROW = np.uint64(7 * TILE)  # transmittance, red, green, blue, depth, last, column
BACKWARD_ROW = np.uint64(8 * TILE)  # transmittance, rest, gradients of red, green, blue, depth, last, column
F1, F2, F3, F4, F5, F6, F7 = (np.uint64(i * TILE) for i in range(1, 8))
AHEAD = 8  # entries of a tile between prefetching a Gaussian and using it
CHECK_EVERY = 32  # Gaussians between two checks whether a tile is finished

ZERO, ONE = np.float32(0), np.float32(1)
CAP = np.float32(MAX_ALPHA)
STOP = np.float32(MIN_TRANSMITTANCE)
LOG_MIN_ALPHA = np.float32(log2(MIN_ALPHA))
FLOOR = np.float32(-8)
# 2^(e/8) on [-8, 0], to 1e-7; Chebyshev interpolation is almost as good as the best polynomial.
P0, P1, P2, P3, P4, P5 = (
    np.float32(c)
    for c in Chebyshev.interpolate(lambda e: 2 ** (e / 8), 5, domain=[-8, 0]).convert(kind=Polynomial).coef
)


@intrinsic
def _prefetch(typing_context, array, row):
    """Prefetch the cache line at ``array[row, 0]``: tiles access Gaussians in no particular order."""

    def generate(context, builder, signature, arguments):
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(values.strides, 0)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = builder.bitcast(values.data, byte)
        line = builder.gep(start, [builder.mul(stride, arguments[1])])
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [line, number(0), number(3), number(1)])  # to read, keep close, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@njit(inline="always")
def _exp2(e):
    p = P0 + e * (P1 + e * (P2 + e * (P3 + e * (P4 + e * P5))))
    p *= p
    p *= p
    return p * p


@njit(cache=True, error_model="numpy", nogil=True)
def pack(
    piece, pieces, order, means2d, conics, colours, opacities, distances, radii, width, height, packed, pairs, cursors
):
    """Fill, in depth order, ``packed`` (V, 16) and ``pairs`` (V,), the number of tiles that each Gaussian reaches.

    This is also the first half of a counting sort: ``cursors[piece]`` (tiles,) gets the number of this piece's
    Gaussians in every tile.
    """
    count, columns = len(order), -(-width // TILE)
    cursors[piece] = 0
    for rank in range(piece * count // pieces, (piece + 1) * count // pieces):
        i = order[rank]
        xx, xy, yy = np.float64(conics[i, 0]), np.float64(conics[i, 1]), np.float64(conics[i, 2])
        x, y, radius = np.float64(means2d[i, 0]), np.float64(means2d[i, 1]), np.float64(radii[i])
        opacity = np.float64(opacities[i])
        pairs[rank] = 0
        det = xx * yy - xy * xy
        if not (opacity >= MIN_ALPHA and det > 0):
            continue
        # Half extents of the ellipse where alpha reaches 1/255, slightly enlarged because of rounding.
        reach = 2 * log(opacity / MIN_ALPHA) / det
        reach_x, reach_y = 1.0001 * sqrt(reach * yy) + 1e-3, 1.0001 * sqrt(reach * xx) + 1e-3
        left, right = max(ceil(x - reach_x), 0.0), min(floor(x + reach_x), width - 1.0)
        top, bottom = max(ceil(y - reach_y), 0.0), min(floor(y + reach_y), height - 1.0)
        if left > right or top > bottom:
            continue
        x0 = max(floor(left / TILE), floor((x - radius) / TILE))
        x1 = min(floor(right / TILE), floor((x + radius) / TILE)) + 1
        y0 = max(floor(top / TILE), floor((y - radius) / TILE))
        y1 = min(floor(bottom / TILE), floor((y + radius) / TILE)) + 1
        if x0 >= x1 or y0 >= y1:
            continue
        pairs[rank] = np.int64((x1 - x0) * (y1 - y0))
        half = 1 / (2 * log(2.0))  # 2^e instead of exp(-power / 2)
        l11 = sqrt(half * xx)
        packed[rank, X], packed[rank, Y] = x, y
        packed[rank, L11] = l11
        packed[rank, L21] = half * xy / l11
        packed[rank, L22] = sqrt(half * det / xx)
        packed[rank, LOG_OPACITY] = log2(opacity)
        packed[rank, RED], packed[rank, GREEN], packed[rank, BLUE] = colours[i, 0], colours[i, 1], colours[i, 2]
        packed[rank, DISTANCE] = distances[i]
        packed[rank, TOP], packed[rank, BOTTOM] = top, bottom
        packed[rank, TILE_X0], packed[rank, TILE_X1] = x0, x1
        packed[rank, TILE_Y0], packed[rank, TILE_Y1] = y0, y1
        for row in range(np.int64(y0), np.int64(y1)):
            for column in range(np.int64(x0), np.int64(x1)):
                cursors[piece, row * columns + column] += 1


@njit(cache=True, nogil=True)
def lay_out(cursors, pairs, starts, offsets):
    """Turn counts into positions: ``starts`` (tiles + 1,) of the tiles' entries, ``offsets`` (V + 1,) of the slots.

    ``cursors`` (pieces, tiles) becomes the position at which each piece starts to write within each tile.
    """
    pieces, tiles = cursors.shape
    total = 0
    for tile in range(tiles):
        starts[tile] = total
        for piece in range(pieces):
            here = cursors[piece, tile]
            cursors[piece, tile] = total
            total += here
    starts[tiles] = total
    offsets[0] = 0
    for rank in range(len(pairs)):
        offsets[rank + 1] = offsets[rank] + pairs[rank]


@njit(cache=True, nogil=True)
def fill_tiles(piece, pieces, packed, offsets, columns, cursors, entries, slot_of):
    """Second half of a stable counting sort: write the ranks, tile by tile and front to back, to ``entries``.

    ``slot_of`` gets each entry's slot: a Gaussian has the slots from ``offsets[rank]`` on, one for each tile.
    """
    count = len(packed)
    for rank in range(piece * count // pieces, (piece + 1) * count // pieces):
        slot = offsets[rank]
        if slot < offsets[rank + 1]:
            for row in range(np.int64(packed[rank, TILE_Y0]), np.int64(packed[rank, TILE_Y1])):
                for column in range(np.int64(packed[rank, TILE_X0]), np.int64(packed[rank, TILE_X1])):
                    entry = cursors[piece, row * columns + column]
                    entries[entry], slot_of[entry] = rank, slot
                    cursors[piece, row * columns + column] = entry + 1
                    slot += 1


@njit(inline="always")
def _blend_row(pixels, at, slope, offset, peak, red, green, blue, distance, index):
    """Blend one Gaussian into one row. The transmittance of a pixel that has stopped is stored with a minus sign."""
    for i in range(LANES):
        t = pixels[at + i]
        u = slope * pixels[at + F6 + i] + offset
        e = peak - u * u
        alpha = _exp2(e if e > FLOOR else FLOOR)
        alpha = alpha if alpha < CAP else CAP
        left = t - alpha * t
        seen = e >= LOG_MIN_ALPHA
        goes_on = seen & (left >= STOP)
        weight = alpha * t if goes_on else ZERO
        stopped = -abs(t) if seen else t
        pixels[at + i] = left if goes_on else stopped
        pixels[at + F1 + i] += weight * red
        pixels[at + F2 + i] += weight * green
        pixels[at + F3 + i] += weight * blue
        pixels[at + F4 + i] += weight * distance
        pixels[at + F5 + i] = index if goes_on else pixels[at + F5 + i]


@njit(inline="always")
def _unblend_row(pixels, at, sums, slope, offset, peak, dy, red, green, blue, distance, index):
    """Undo one Gaussian in one row; add d = alpha dL/dalpha, its y-moments and the weighted gradients to ``sums``."""
    for i in range(LANES):
        u = slope * pixels[at + F7 + i] + offset
        e = peak - u * u
        raw = _exp2(e if e > FLOOR else FLOOR)
        capped = raw if raw < CAP else CAP
        alpha = capped if (e >= LOG_MIN_ALPHA) & (index <= pixels[at + F6 + i]) else ZERO
        growth = ONE / (ONE - alpha)
        t = pixels[at + i] * growth
        weight = alpha * t
        g_red, g_green, g_blue = pixels[at + F2 + i], pixels[at + F3 + i], pixels[at + F4 + i]
        g_depth = pixels[at + F5 + i]
        value = g_red * red + g_green * green + g_blue * blue + g_depth * distance
        d = alpha * (t * value - growth * pixels[at + F1 + i])
        d = d if raw < CAP else ZERO
        pixels[at + i] = t
        pixels[at + F1 + i] += weight * value
        sums[i] += d
        sums[F1 + i] += d * dy
        sums[F2 + i] += d * dy * dy
        sums[F3 + i] += weight * g_red
        sums[F4 + i] += weight * g_green
        sums[F5 + i] += weight * g_blue
        sums[F6 + i] += weight * g_depth


@njit(forceinline=True)
def _finished(pixels):
    for row in range(np.uint64(TILE_ROWS)):
        for i in range(LANES):
            if pixels[row * FORWARD_ROW + i] > 0:
                return False
    return True


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def _blend_tile(packed, entries, begin, end, left, top, pixels):
    """Blend entries [begin, end) into the tile at (left, top); return one past the last processed entry."""
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and _finished(pixels):
            return k
        _prefetch(packed, entries[min(k + AHEAD, end - 1)])
        rank = entries[k]
        slope = packed[rank, L11]
        base = slope * (left - packed[rank, X])
        skew, tall = packed[rank, L21], packed[rank, L22]
        log_opacity = packed[rank, LOG_OPACITY]
        red, green, blue, distance = packed[rank, RED], packed[rank, GREEN], packed[rank, BLUE], packed[rank, DISTANCE]
        index = np.float32(k - begin)
        dy0 = top - packed[rank, Y]
        first = np.int64(max(packed[rank, TOP] - top, ZERO))
        last = np.int64(min(packed[rank, BOTTOM] - top, np.float32(TILE - 1)))
        for row in range(first, last + 1):
            dy = dy0 + np.float32(row)
            height = tall * dy
            _blend_row(
                pixels, np.uint64(row) * FORWARD_ROW, slope, base + skew * dy, log_opacity - height * height,
                red, green, blue, distance, index,
            )  # fmt: skip
    return end


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def _unblend_tile(packed, entries, slot_of, begin, end, left, top, pixels, sums, slots):
    """Go through entries [begin, end) of a tile in reverse and write the moments of each to its slot."""
    for k in range(end - 1, begin - 1, -1):
        _prefetch(packed, entries[max(k - AHEAD, begin)])
        _prefetch(slots, slot_of[max(k - AHEAD, begin)])
        rank = entries[k]
        slope = packed[rank, L11]
        dx0 = left - packed[rank, X]
        base = slope * dx0
        skew, tall = packed[rank, L21], packed[rank, L22]
        log_opacity = packed[rank, LOG_OPACITY]
        red, green, blue, distance = packed[rank, RED], packed[rank, GREEN], packed[rank, BLUE], packed[rank, DISTANCE]
        index = np.float32(k - begin)
        dy0 = top - packed[rank, Y]
        first = np.int64(max(packed[rank, TOP] - top, ZERO))
        last = np.int64(min(packed[rank, BOTTOM] - top, np.float32(TILE - 1)))
        for i in range(np.uint64(7 * TILE)):
            sums[i] = ZERO
        for row in range(first, last + 1):
            dy = dy0 + np.float32(row)
            height = tall * dy
            _unblend_row(
                pixels, np.uint64(row) * BACKWARD_ROW, sums, slope, base + skew * dy, log_opacity - height * height, dy,
                red, green, blue, distance, index,
            )  # fmt: skip
        d = d_x = d_y = d_xx = d_xy = d_yy = g_red = g_green = g_blue = g_depth = ZERO
        for i in range(LANES):
            dx = dx0 + pixels[F7 + i]
            d += sums[i]
            d_x += sums[i] * dx
            d_xx += sums[i] * dx * dx
            d_y += sums[F1 + i]
            d_xy += sums[F1 + i] * dx
            d_yy += sums[F2 + i]
            g_red += sums[F3 + i]
            g_green += sums[F4 + i]
            g_blue += sums[F5 + i]
            g_depth += sums[F6 + i]
        slot = slot_of[k]
        slots[slot, 0], slots[slot, 1], slots[slot, 2] = d, d_x, d_y
        slots[slot, 3], slots[slot, 4], slots[slot, 5] = d_xx, d_xy, d_yy
        slots[slot, 6], slots[slot, 7], slots[slot, 8], slots[slot, 9] = g_red, g_green, g_blue, g_depth


@njit(cache=True, error_model="numpy", nogil=True)
def blend(piece, pieces, packed, starts, entries, background, rgb, depth, alpha, ends, final):
    """Fill the images, ``ends``, where each tile stopped, and ``final`` (2, H, W): T and the last entry's index."""
    height, width = depth.shape
    columns = -(-width // TILE)
    pixels = np.empty(7 * TILE * TILE, np.float32)
    for tile in range(piece, len(ends), pieces):
        left, top = tile % columns * TILE, tile // columns * TILE
        for row in range(TILE):
            for i in range(TILE):
                at = row * 7 * TILE + i
                inside = left + i < width and top + row < height
                pixels[at] = ONE if inside else -ONE
                for field in range(1, 6):
                    pixels[at + field * TILE] = ZERO
                pixels[at + 5 * TILE] = -ONE
                pixels[at + 6 * TILE] = np.float32(i)
        ends[tile] = _blend_tile(
            packed, entries, starts[tile], starts[tile + 1], np.float32(left), np.float32(top), pixels
        )
        for row in range(min(TILE, height - top)):
            for i in range(min(TILE, width - left)):
                at = row * 7 * TILE + i
                t = abs(pixels[at])
                rgb[0, top + row, left + i] = pixels[at + TILE] + t * background[0]
                rgb[1, top + row, left + i] = pixels[at + 2 * TILE] + t * background[1]
                rgb[2, top + row, left + i] = pixels[at + 3 * TILE] + t * background[2]
                depth[top + row, left + i] = pixels[at + 4 * TILE]
                alpha[top + row, left + i] = ONE - t
                final[0, top + row, left + i] = t
                final[1, top + row, left + i] = pixels[at + 5 * TILE]


@njit(cache=True, error_model="numpy", nogil=True)
def blend_backward(
    piece, pieces, packed, starts, ends, entries, slot_of, background, final, g_rgb, g_depth, g_alpha, slots
):
    """Backward pass: fill the slots (pairs, MOMENTS) from the gradients of the images."""
    height, width = g_depth.shape
    columns = -(-width // TILE)
    pixels = np.empty(8 * TILE * TILE, np.float32)
    sums = np.empty(7 * TILE, np.float32)
    for tile in range(piece, len(ends), pieces):
        left, top = tile % columns * TILE, tile // columns * TILE
        for k in range(ends[tile], starts[tile + 1]):  # not reached, so without gradient
            slots[slot_of[k]] = 0
        for row in range(TILE):
            for i in range(TILE):
                at = row * 8 * TILE + i
                for field in range(7):
                    pixels[at + field * TILE] = ZERO
                pixels[at + 7 * TILE] = np.float32(i)
                pixels[at + 6 * TILE] = -ONE
                if left + i < width and top + row < height:
                    t = final[0, top + row, left + i]
                    red, green, blue = (
                        g_rgb[0, top + row, left + i],
                        g_rgb[1, top + row, left + i],
                        g_rgb[2, top + row, left + i],
                    )
                    behind = red * background[0] + green * background[1] + blue * background[2]
                    pixels[at] = t
                    pixels[at + TILE] = t * (behind - g_alpha[top + row, left + i])
                    pixels[at + 2 * TILE], pixels[at + 3 * TILE], pixels[at + 4 * TILE] = red, green, blue
                    pixels[at + 5 * TILE] = g_depth[top + row, left + i]
                    pixels[at + 6 * TILE] = final[1, top + row, left + i]
        _unblend_tile(
            packed, entries, slot_of, starts[tile], ends[tile], np.float32(left), np.float32(top), pixels, sums, slots
        )


@njit(cache=True, error_model="numpy", nogil=True)
def gather_gradients(
    piece, pieces, order, offsets, slots, conics, opacities,
    g_means2d, g_conics, g_colours, g_opacities, g_distances,
):  # fmt: skip
    """Sum each Gaussian's slots and turn the moments into gradients; rows of Gaussians without slots are unchanged."""
    count = len(order)
    total = np.empty(MOMENTS)
    for rank in range(piece * count // pieces, (piece + 1) * count // pieces):
        if offsets[rank] == offsets[rank + 1]:
            continue
        i = order[rank]
        for m in range(MOMENTS):
            total[m] = 0
        for slot in range(offsets[rank], offsets[rank + 1]):
            for m in range(MOMENTS):
                total[m] += slots[slot, m]
        g_means2d[i, 0] = conics[i, 0] * total[1] + conics[i, 1] * total[2]
        g_means2d[i, 1] = conics[i, 1] * total[1] + conics[i, 2] * total[2]
        g_conics[i, 0] = -total[3] / 2
        g_conics[i, 1] = -total[4]
        g_conics[i, 2] = -total[5] / 2
        g_opacities[i] = total[0] / opacities[i]
        g_colours[i, 0], g_colours[i, 1], g_colours[i, 2] = total[6], total[7], total[8]
        g_distances[i] = total[9]
