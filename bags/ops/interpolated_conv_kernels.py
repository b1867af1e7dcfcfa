"""Numba kernels of the interpolated convolution (float32, CPU); ``bags.ops.interpolated_conv`` says what they compute.

Every inner loop runs over the pixels of one row and phase with few arrays, so that LLVM vectorises it
(``bags.ops.per_pixel_conv_kernels`` says how). All these pixels have the same position between two nodes.
"""

# mypy: disable-error-code="no-untyped-def,call-overload"
from __future__ import annotations

import numpy as np

from bags.ops.numba_cache import njit

_F = np.float32
_U = np.uint64
_FLAGS = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}


@njit(inline="always", **_FLAGS)
def _clamped(node, count):
    """A node's index, limited to existing nodes: kernels are constant beyond the first and the last one."""
    return min(max(node, 0), count - 1)


@njit(inline="always", **_FLAGS)
def _between(above, below, part, first, out):
    """``out[x] = above[first + x] + part * (below[first + x] - above[first + x])``, constant beyond the ends."""
    start, stop = max(0, -first), min(out.size, above.size - first)
    inner, before, after = out[start:stop], above[first + start :], below[first + start :]
    for x in range(_U(inner.size)):
        inner[x] = before[x] + part * (after[x] - before[x])
    for x in range(start):
        out[x] = out[start]
    for x in range(stop, out.size):
        out[x] = out[stop - 1]


@njit(inline="always", **_FLAGS)
def _weights(kernel, part, out):
    """One tap's weights for the pixels at the fraction ``part`` of the way from each node to the next."""
    for x in range(_U(out.size)):
        out[x] = kernel[x] + part * (kernel[x + _U(1)] - kernel[x])


@njit(inline="always", **_FLAGS)
def _clear(out):
    for x in range(_U(out.size)):
        out[x] = _F(0.0)


@njit(inline="always", **_FLAGS)
def _add_product(a, b, out):
    for x in range(_U(b.size)):
        out[x] += a[x] * b[x]


@njit(inline="always", **_FLAGS)
def _dot3(a0, b0, a1, b1, a2, b2, out):
    for x in range(_U(out.size)):
        out[x] = a0[x] * b0[x] + a1[x] * b1[x] + a2[x] * b2[x]


@njit(inline="always", **_FLAGS)
def _gather(gradient, part, total, late):
    """Add the gradient of the weights to ``total``, and ``part`` times it to ``late``, the later node's share."""
    for x in range(_U(total.size)):
        total[x] += gradient[x]
        late[x] += part * gradient[x]


@njit(inline="always", **_FLAGS)
def _share(total, late, part, first, ends, above, below):
    """Add a row's gradient of the weights to the nodes above and below it: the transpose of ``_between``."""
    for x in range(_U(total.size)):
        ends[x] = total[x] - late[x]
    ends[total.size] = _F(0.0)
    shifted = ends[1:]
    for x in range(_U(late.size)):
        shifted[x] += late[x]
    start, stop = max(0, -first), min(ends.size, above.size - first)
    for x in range(start):
        ends[start] += ends[x]
    for x in range(stop, ends.size):
        ends[stop - 1] += ends[x]
    inner, before, after = ends[start:stop], above[first + start :], below[first + start :]
    for x in range(_U(inner.size)):
        after[x] += part * inner[x]
    for x in range(_U(inner.size)):
        before[x] += (_F(1.0) - part) * inner[x]


@njit(**_FLAGS)
def forward_rows(nodes, image, blurred, start, stop, before, first, left, stride):
    """Weighted sums of the pixels in the rows of intervals ``start`` to ``stop - 1``.

    Args:
        nodes: (h, K*K, w) kernels.
        image: (3, H + s (K - 1), spacing, at least n + s (K - 1) / spacing), by phase.
        blurred: (3, H, spacing, n), must be zeros; is filled.
        start: first row of intervals.
        stop: one past the last row of intervals.
        before: rows of the first interval that come before row 0.
        first: row of nodes at which the first row of intervals begins, -1 or more.
        left: column of nodes at which the first column of intervals begins, -1 or more.
        stride: s, pixels between taps.
    """
    taps, height, spacing, count = nodes.shape[1], blurred.shape[1], blurred.shape[2], blurred.shape[3]
    side = (image.shape[1] - height) // stride + 1
    kernel, weight = np.empty(count + 1, _F), np.empty(count, _F)
    for y in range(max(0, start * spacing - before), min(height, stop * spacing - before)):
        cell, inner = (y + before) // spacing, (y + before) % spacing
        above, below = _clamped(first + cell, nodes.shape[0]), _clamped(first + cell + 1, nodes.shape[0])
        down = _F((inner + 0.5) / spacing)
        for k in range(taps):
            z, reach = y + stride * (k // side), stride * (k % side)
            _between(nodes[above, k], nodes[below, k], down, left, kernel)
            for phase in range(spacing):
                source, begin = (phase + reach) % spacing, (phase + reach) // spacing
                _weights(kernel, _F((phase + 0.5) / spacing), weight)
                for c in range(3):
                    _add_product(image[c, z, source, begin:], weight, blurred[c, y, phase])


@njit(**_FLAGS)
def backward_rows(nodes, image, grad, nodes_grad, image_grad, start, stop, before, first, left, stride):
    """Gradients of ``forward_rows``; arguments not described here are the same as there.

    ``grad`` (3, H, spacing, n) is the gradient of the weighted sums, zero where there is no pixel. The results are
    added to ``nodes_grad``, in the rows of nodes around the rows of intervals, and to ``image_grad``, in the rows that
    these pixels see.
    """
    taps, height, spacing, count = nodes.shape[1], grad.shape[1], grad.shape[2], grad.shape[3]
    side = (image.shape[1] - height) // stride + 1
    kernel, weight, ends = np.empty(count + 1, _F), np.empty(count, _F), np.empty(count + 1, _F)
    total, late = np.empty(count, _F), np.empty(count, _F)
    for y in range(max(0, start * spacing - before), min(height, stop * spacing - before)):
        cell, inner = (y + before) // spacing, (y + before) % spacing
        above, below = _clamped(first + cell, nodes.shape[0]), _clamped(first + cell + 1, nodes.shape[0])
        down = _F((inner + 0.5) / spacing)
        for k in range(taps):
            z, reach = y + stride * (k // side), stride * (k % side)
            _between(nodes[above, k], nodes[below, k], down, left, kernel)
            _clear(total)
            _clear(late)
            for phase in range(spacing):
                across = _F((phase + 0.5) / spacing)
                source, begin = (phase + reach) % spacing, (phase + reach) // spacing
                red, green, blue = grad[0, y, phase], grad[1, y, phase], grad[2, y, phase]
                seen = image[0, z, source, begin:], image[1, z, source, begin:], image[2, z, source, begin:]
                _dot3(seen[0], red, seen[1], green, seen[2], blue, weight)
                _gather(weight, across, total, late)
                _weights(kernel, across, weight)
                for c in range(3):
                    _add_product(weight, grad[c, y, phase], image_grad[c, z, source, begin:])
            _share(total, late, down, left, ends, nodes_grad[above, k], nodes_grad[below, k])
