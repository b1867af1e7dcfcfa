"""Numba kernels of the per-pixel convolution (float32, CPU); ``bags.ops.per_pixel_conv`` says what they compute.

Every inner loop runs over one image row with few arrays: LLVM can then check at run time that they do not overlap, and
vectorises the loop, while the rows stay in the L1 cache. Indices are unsigned, because the wrap-around of signed ones
prevents vectorisation. The kernels release the GIL; callers with several threads must give each its own rows.
"""

# mypy: disable-error-code="no-untyped-def,call-overload"
from __future__ import annotations

import math

import numpy as np

from bags.ops.numba_cache import njit

_F = np.float32
_U = np.uint64
_FLAGS = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}
# Chebyshev interpolation of exp on [-1, 0]: relative error 4e-8.
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = (
    _F(c) for c in (1.0, 0.99999845, 0.49997509, 0.16651517, 0.041223318, 0.0076543251, 0.00084900787)
)


@njit(inline="always", **_FLAGS)
def _exp_difference(logits, shift, out):
    """``out = exp(logits - shift)``; differences must not be positive, and are clamped at -32 (exp: 1e-14).

    exp(t) = exp(t / 32)^32 with a polynomial for the inner one: no branch, no library call.
    """
    for x in range(_U(out.size)):
        z = max(logits[x] - shift[x], _F(-32.0)) * _F(1 / 32)
        p = _E0 + z * (_E1 + z * (_E2 + z * (_E3 + z * (_E4 + z * (_E5 + z * _E6)))))
        p *= p
        p *= p
        p *= p
        p *= p
        p *= p
        out[x] = p


@njit(inline="always", **_FLAGS)
def _copy(values, out):
    for x in range(_U(out.size)):
        out[x] = values[x]


@njit(inline="always", **_FLAGS)
def _maximum(values, out):
    for x in range(_U(out.size)):
        out[x] = max(out[x], values[x])


@njit(inline="always", **_FLAGS)
def _add(values, out):
    for x in range(_U(out.size)):
        out[x] += values[x]


@njit(inline="always", **_FLAGS)
def _add_product(a, b, out):
    for x in range(_U(b.size)):
        out[x] += a[x] * b[x]


@njit(inline="always", **_FLAGS)
def _multiply(values, out):
    for x in range(_U(out.size)):
        out[x] *= values[x]


@njit(inline="always", **_FLAGS)
def _dot3_minus(a0, b0, a1, b1, a2, b2, offset, out):
    for x in range(_U(out.size)):
        out[x] = a0[x] * b0[x] + a1[x] * b1[x] + a2[x] * b2[x] - offset[x]


@njit(**_FLAGS)
def forward_rows(logits, image, stride, first, log_sum, blurred):
    """Softmax and gather of the rows ``first, first + 1, ...`` that ``logits`` (K*K, R, W) holds.

    Args:
        logits: (K*K, R, W), not changed.
        image: (3, H + s (K - 1), W + s (K - 1)).
        stride: s, pixels between taps.
        first: row of ``blurred`` that the strip begins with.
        log_sum: (H, W) gets the log-sum-exp of the logits.
        blurred: (3, H, W) gets the softmax-weighted sum.
    """
    taps, rows, width = logits.shape
    side = (image.shape[2] - width) // stride + 1
    for row in range(rows):
        y = first + row
        top, total, weight = np.empty(width, _F), np.zeros(width, _F), np.empty(width, _F)
        _copy(logits[0, row], top)
        for k in range(1, taps):
            _maximum(logits[k, row], top)
        blurred[:, y] = _F(0.0)
        for k in range(taps):
            dy, dx = k // side, k % side
            _exp_difference(logits[k, row], top, weight)
            _add(weight, total)
            for c in range(3):
                _add_product(image[c, y + stride * dy, stride * dx :], weight, blurred[c, y])
        for x in range(width):
            log_sum[y, x] = top[x] + math.log(total[x])
            total[x] = _F(1.0) / total[x]
        for c in range(3):
            _multiply(total, blurred[c, y])


@njit(**_FLAGS)
def backward_rows(logits, image, stride, first, log_sum, grad, mean, image_grad):
    """Gradients of ``forward_rows``; ``logits`` is overwritten with its gradient.

    Args:
        logits: (K*K, R, W) as they were in the forward pass.
        image: (3, H + s (K - 1), W + s (K - 1)).
        stride: s, pixels between taps.
        first: row that the strip begins with.
        log_sum: (H, W) from the forward pass.
        grad: (3, H, W) gradient of ``blurred``.
        mean: (H, W) sum over channels of ``grad * blurred``: the weighted mean of the weights' gradients.
        image_grad: (3, at least R + s (K - 1), W + s (K - 1)) is added to; its first row is row ``first``.
    """
    taps, rows, width = logits.shape
    side = (image.shape[2] - width) // stride + 1
    for row in range(rows):
        y = first + row
        weight, centred = np.empty(width, _F), np.empty(width, _F)
        for k in range(taps):
            dy, dx = k // side, k % side
            z, reach = y + stride * dy, stride * dx
            _exp_difference(logits[k, row], log_sum[y], weight)
            red, green, blue = image[0, z, reach:], image[1, z, reach:], image[2, z, reach:]
            _dot3_minus(grad[0, y], red, grad[1, y], green, grad[2, y], blue, mean[y], centred)
            for c in range(3):
                _add_product(weight, grad[c, y], image_grad[c, z - first, reach:])
            _multiply(centred, weight)
            _copy(weight, logits[k, row])
