"""Numba kernels that project Gaussians to the screen, forward and backward. Each call processes one piece of them.

The formulas are those of ``reference.project`` (docs/method.md section 2). Inputs and outputs are float32, but the
arithmetic is float64: that costs little in scalar code and keeps the determinants of thin Gaussians exact. The backward
pass recomputes the forward pass instead of storing it. ``view`` is the camera as 22 float64: rotation by rows (9),
translation (3), centre (3), fx, fy, cx, cy, the two bounds of the Jacobian's direction, kernel size.
"""

# mypy: disable-error-code="no-untyped-def"
# Numba infers the types: arrays are C-contiguous, float32 unless a docstring says otherwise.

from __future__ import annotations

from math import ceil, floor, isfinite, sqrt

import numpy as np

from bags.ops.numba_cache import njit
from bags.ops.sh import C0, C1, C2_XX, C2_XY, C2_ZZ, C3_A, C3_B, C3_C, C3_D, C3_E
from bags.rendering.base import MAX_RADIUS, MIN_DETERMINANT, NEAR, RADIUS_SIGMAS, TILE


@njit(cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _mix(a, v, b, w):
    """The vector ``a v + b w``."""
    return a * v[0] + b * w[0], a * v[1] + b * w[1], a * v[2] + b * w[2]


@njit(cache=True)
def _row(values, i):
    return np.float64(values[i, 0]), np.float64(values[i, 1]), np.float64(values[i, 2])


@njit(cache=True)
def _vector(view, at):
    return view[at], view[at + 1], view[at + 2]


@njit(cache=True)
def _to_view(view, mean):
    """View-space position."""
    return (
        _dot(_vector(view, 0), mean) + view[9],
        _dot(_vector(view, 3), mean) + view[10],
        _dot(_vector(view, 6), mean) + view[11],
    )


@njit(cache=True, error_model="numpy")
def _unit_quaternion(rotations, i):
    """w, x, y, z, norm."""
    w, x, y, z = (
        np.float64(rotations[i, 0]),
        np.float64(rotations[i, 1]),
        np.float64(rotations[i, 2]),
        np.float64(rotations[i, 3]),
    )
    norm = max(sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return w / norm, x / norm, y / norm, z / norm, norm


@njit(cache=True)
def _axes(w, x, y, z):
    """Columns of the rotation matrix: the Gaussian's axes in the world."""
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )


@njit(cache=True, error_model="numpy")
def _jacobian(view, position):
    """Rows of J W (d pixel / d world), and the clamped direction u, v at which they are evaluated."""
    inverse = 1 / position[2]
    u = min(max(position[0] * inverse, -view[19]), view[19])
    v = min(max(position[1] * inverse, -view[20]), view[20])
    depth_axis = _vector(view, 6)
    scale_x, scale_y = view[15] * inverse, view[16] * inverse
    row_x = _mix(scale_x, _vector(view, 0), -scale_x * u, depth_axis)
    row_y = _mix(scale_y, _vector(view, 3), -scale_y * v, depth_axis)
    return row_x, row_y, u, v


@njit(cache=True)
def _covariance(row_x, row_y, axes, scale):
    """Directions (J W R, two rows), scaled rows (J W R S), and xx, xy, yy of the unfiltered 2D covariance."""
    px = (_dot(row_x, axes[0]), _dot(row_x, axes[1]), _dot(row_x, axes[2]))
    py = (_dot(row_y, axes[0]), _dot(row_y, axes[1]), _dot(row_y, axes[2]))
    mx = (px[0] * scale[0], px[1] * scale[1], px[2] * scale[2])
    my = (py[0] * scale[0], py[1] * scale[1], py[2] * scale[2])
    return px, py, mx, my, _dot(mx, mx), _dot(mx, my), _dot(my, my)


@njit(cache=True)
def _determinants(a, b, c, s):
    """Determinants of the 2D covariance before and after the filter."""
    sharp = a * c - b * b
    return sharp, sharp + s * (a + c) + s * s


@njit(cache=True)
def _sh_basis(direction, degree, basis):
    x, y, z = direction
    basis[0] = C0
    if degree >= 1:
        basis[1], basis[2], basis[3] = -C1 * y, C1 * z, -C1 * x
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis[4] = C2_XY * x * y
        basis[5] = -C2_XY * y * z
        basis[6] = C2_ZZ * (2 * zz - xx - yy)
        basis[7] = -C2_XY * x * z
        basis[8] = C2_XX * (xx - yy)
        if degree >= 3:
            basis[9] = -C3_A * y * (3 * xx - yy)
            basis[10] = C3_B * x * y * z
            basis[11] = -C3_C * y * (4 * zz - xx - yy)
            basis[12] = C3_D * z * (2 * zz - 3 * xx - 3 * yy)
            basis[13] = -C3_C * x * (4 * zz - xx - yy)
            basis[14] = C3_E * z * (xx - yy)
            basis[15] = -C3_A * x * (xx - 3 * yy)


@njit(cache=True)
def _sh_gradient(direction, degree, g):
    """Gradient with respect to the direction, given those of the basis values ``g``."""
    x, y, z = direction
    gx = gy = gz = 0.0
    if degree >= 1:
        gx, gy, gz = -C1 * g[3], -C1 * g[1], C1 * g[2]
    if degree >= 2:
        gx += C2_XY * (y * g[4] - z * g[7]) - 2 * C2_ZZ * x * g[6] + 2 * C2_XX * x * g[8]
        gy += C2_XY * (x * g[4] - z * g[5]) - 2 * C2_ZZ * y * g[6] - 2 * C2_XX * y * g[8]
        gz += -C2_XY * (y * g[5] + x * g[7]) + 4 * C2_ZZ * z * g[6]
    if degree >= 3:
        xx, yy, zz = x * x, y * y, z * z
        gx += -6 * C3_A * x * y * g[9] + C3_B * y * z * g[10] + 2 * C3_C * x * y * g[11] - 6 * C3_D * x * z * g[12]
        gx += -C3_C * (4 * zz - 3 * xx - yy) * g[13] + 2 * C3_E * x * z * g[14] - 3 * C3_A * (xx - yy) * g[15]
        gy += -3 * C3_A * (xx - yy) * g[9] + C3_B * x * z * g[10] - C3_C * (4 * zz - xx - 3 * yy) * g[11]
        gy += -6 * C3_D * y * z * g[12] + 2 * C3_C * x * y * g[13] - 2 * C3_E * y * z * g[14] + 6 * C3_A * x * y * g[15]
        gz += C3_B * x * y * g[10] - 8 * C3_C * z * (y * g[11] + x * g[13])
        gz += 3 * C3_D * (2 * zz - xx - yy) * g[12] + C3_E * (xx - yy) * g[14]
    return gx, gy, gz


@njit(cache=True, error_model="numpy")
def _radius(x, y, a, b, c, size):
    """Screen radius in pixels of the filtered covariance a, b, c; 0 if non-finite or if its tiles miss the image."""
    largest = (a + c) / 2 + sqrt((a - c) * (a - c) / 4 + b * b)
    radius = ceil(RADIUS_SIGMAS * sqrt(largest)) if isfinite(largest) else np.inf
    if not (isfinite(x) and isfinite(y) and isfinite(radius)):
        return 0.0
    radius = min(radius, float(MAX_RADIUS))
    outside = (
        floor((x + radius) / TILE) < 0
        or floor((y + radius) / TILE) < 0
        or floor((x - radius) / TILE) >= ceil(size[0] / TILE)
        or floor((y - radius) / TILE) >= ceil(size[1] / TILE)
    )
    return 0.0 if outside else radius


@njit(cache=True, error_model="numpy", nogil=True)
def project(
    piece, pieces, view, size, degree, means, scales, rotations, opacities, sh_dc, sh_rest,
    means2d, conics, colours, filtered, distances, radii,
):  # fmt: skip
    """Fill the last six arrays (see ``base.Projection``); rows of Gaussians that are not drawn become 0."""
    count = len(means)
    terms = (degree + 1) * (degree + 1)
    basis = np.empty(16)
    for i in range(piece * count // pieces, (piece + 1) * count // pieces):
        means2d[i] = 0
        conics[i] = 0
        colours[i] = 0
        filtered[i] = 0
        distances[i] = 0
        radii[i] = 0
        mean = _row(means, i)
        position = _to_view(view, mean)
        if not position[2] > NEAR:
            continue
        x = view[15] * position[0] / position[2] + view[17]
        y = view[16] * position[1] / position[2] + view[18]
        row_x, row_y, _, _ = _jacobian(view, position)
        qw, qx, qy, qz, _ = _unit_quaternion(rotations, i)
        _, _, _, _, a, b, c = _covariance(row_x, row_y, _axes(qw, qx, qy, qz), _row(scales, i))
        sharp, det = _determinants(a, b, c, view[21])
        a += view[21]
        c += view[21]
        radius = _radius(x, y, a, b, c, size)
        if radius == 0:
            continue
        distance = sqrt(_dot(position, position))
        direction = _mix(1 / distance, mean, -1 / distance, _vector(view, 12))
        _sh_basis(direction, degree, basis)
        red, green, blue = 0.5 + C0 * sh_dc[i, 0, 0], 0.5 + C0 * sh_dc[i, 0, 1], 0.5 + C0 * sh_dc[i, 0, 2]
        for k in range(1, terms):
            red += basis[k] * sh_rest[i, k - 1, 0]
            green += basis[k] * sh_rest[i, k - 1, 1]
            blue += basis[k] * sh_rest[i, k - 1, 2]
        drawn = sharp > MIN_DETERMINANT and det > MIN_DETERMINANT
        opacity = opacities[i] * sqrt(sharp / det) if drawn else 0.0
        if not isfinite(red + green + blue + opacity + (a + c) / det):
            continue
        means2d[i, 0], means2d[i, 1] = x, y
        conics[i, 0], conics[i, 1], conics[i, 2] = c / det, -b / det, a / det
        colours[i, 0], colours[i, 1], colours[i, 2] = max(red, 0.0), max(green, 0.0), max(blue, 0.0)
        filtered[i] = opacity
        distances[i] = distance
        radii[i] = np.int32(radius)


@njit(cache=True, error_model="numpy")
def _covariance_gradient(a, b, c, s, g_conic, g_opacity, opacity):
    """Gradients of the unfiltered a, b, c and of the opacity, from those of the conic and the filtered opacity."""
    sharp, det = _determinants(a, b, c, s)
    conic = ((c + s) / det, -b / det, (a + s) / det)
    g_det = -_dot(g_conic, conic) / det
    g_sharp = g_alpha = 0.0
    if sharp > MIN_DETERMINANT and det > MIN_DETERMINANT:
        compensation = sqrt(sharp / det)
        g_alpha = g_opacity * compensation
        half = g_alpha * opacity / 2
        g_sharp = half / sharp
        g_det -= half / det
    g_sharp += g_det  # det = sharp + s (a + c) + s^2
    g_a = g_conic[2] / det + s * g_det + c * g_sharp
    g_b = -g_conic[1] / det - 2 * b * g_sharp
    g_c = g_conic[0] / det + s * g_det + a * g_sharp
    return g_a, g_b, g_c, g_alpha


@njit(cache=True)
def _quaternion_gradient(w, x, y, z, norm, g0, g1, g2):
    """Gradient of the raw quaternion, given those of the rotation's columns."""
    gw = 2 * (z * (g0[1] - g1[0]) + y * (g2[0] - g0[2]) + x * (g1[2] - g2[1]))
    gx = 2 * (y * (g1[0] + g0[1]) + z * (g2[0] + g0[2]) + w * (g1[2] - g2[1]) - 2 * x * (g1[1] + g2[2]))
    gy = 2 * (x * (g1[0] + g0[1]) + z * (g2[1] + g1[2]) + w * (g2[0] - g0[2]) - 2 * y * (g0[0] + g2[2]))
    gz = 2 * (x * (g2[0] + g0[2]) + y * (g2[1] + g1[2]) + w * (g0[1] - g1[0]) - 2 * z * (g0[0] + g1[1]))
    along = w * gw + x * gx + y * gy + z * gz
    return (gw - along * w) / norm, (gx - along * x) / norm, (gy - along * y) / norm, (gz - along * z) / norm


@njit(cache=True, error_model="numpy", nogil=True)
def project_backward(
    piece, pieces, view, degree, means, scales, rotations, opacities, sh_rest, colours, radii,
    g_means2d, g_conics, g_colours, g_filtered, g_distances,
    g_means, g_scales, g_rotations, g_opacities, g_dc, g_rest,
):  # fmt: skip
    """Fill the last six arrays with gradients, given those of ``project``'s outputs; 0 for Gaussians not drawn."""
    count = len(means)
    terms = (degree + 1) * (degree + 1)
    basis, g_basis = np.empty(16), np.empty(16)
    for i in range(piece * count // pieces, (piece + 1) * count // pieces):
        g_means[i] = 0
        g_scales[i] = 0
        g_rotations[i] = 0
        g_opacities[i] = 0
        g_dc[i] = 0
        g_rest[i] = 0
        if radii[i] == 0:
            continue
        mean, scale = _row(means, i), _row(scales, i)
        position = _to_view(view, mean)
        distance = sqrt(_dot(position, position))

        # Colour: to the coefficients, and through the direction to the mean.
        direction = _mix(1 / distance, mean, -1 / distance, _vector(view, 12))
        _sh_basis(direction, degree, basis)
        red = g_colours[i, 0] if colours[i, 0] > 0 else np.float32(0)
        green = g_colours[i, 1] if colours[i, 1] > 0 else np.float32(0)
        blue = g_colours[i, 2] if colours[i, 2] > 0 else np.float32(0)
        g_dc[i, 0, 0], g_dc[i, 0, 1], g_dc[i, 0, 2] = C0 * red, C0 * green, C0 * blue
        for k in range(1, terms):
            g_rest[i, k - 1, 0] = basis[k] * red
            g_rest[i, k - 1, 1] = basis[k] * green
            g_rest[i, k - 1, 2] = basis[k] * blue
            g_basis[k] = red * sh_rest[i, k - 1, 0] + green * sh_rest[i, k - 1, 1] + blue * sh_rest[i, k - 1, 2]
        g_direction = _sh_gradient(direction, degree, g_basis)
        inward = _dot(g_direction, direction)
        g_mean = _mix(1 / distance, g_direction, np.float64(g_distances[i]) - inward / distance, direction)

        # Covariance: to scale and rotation, and to the rows of J W.
        row_x, row_y, u, v = _jacobian(view, position)
        qw, qx, qy, qz, norm = _unit_quaternion(rotations, i)
        axes = _axes(qw, qx, qy, qz)
        px, py, mx, my, a, b, c = _covariance(row_x, row_y, axes, scale)
        g_a, g_b, g_c, g_alpha = _covariance_gradient(
            a, b, c, view[21], _row(g_conics, i), np.float64(g_filtered[i]), np.float64(opacities[i])
        )
        g_opacities[i] = g_alpha
        g_mx, g_my = _mix(2 * g_a, mx, g_b, my), _mix(2 * g_c, my, g_b, mx)
        g_scales[i, 0] = g_mx[0] * px[0] + g_my[0] * py[0]
        g_scales[i, 1] = g_mx[1] * px[1] + g_my[1] * py[1]
        g_scales[i, 2] = g_mx[2] * px[2] + g_my[2] * py[2]
        g_px = (g_mx[0] * scale[0], g_mx[1] * scale[1], g_mx[2] * scale[2])
        g_py = (g_my[0] * scale[0], g_my[1] * scale[1], g_my[2] * scale[2])
        g_rotations[i, 0], g_rotations[i, 1], g_rotations[i, 2], g_rotations[i, 3] = _quaternion_gradient(
            qw, qx, qy, qz, norm,
            _mix(g_px[0], row_x, g_py[0], row_y),
            _mix(g_px[1], row_x, g_py[1], row_y),
            _mix(g_px[2], row_x, g_py[2], row_y),
        )  # fmt: skip
        g_row_x = _mix(1.0, _mix(g_px[0], axes[0], g_px[1], axes[1]), g_px[2], axes[2])
        g_row_y = _mix(1.0, _mix(g_py[0], axes[0], g_py[1], axes[1]), g_py[2], axes[2])

        # Rows of J W and screen position: to the view-space position (u = x / z, v = y / z).
        inverse = 1 / position[2]
        g_inverse = (_dot(g_row_x, row_x) + _dot(g_row_y, row_y)) / inverse
        g_u, g_v = view[15] * g_means2d[i, 0], view[16] * g_means2d[i, 1]
        depth_axis = _vector(view, 6)
        true_u, true_v = position[0] * inverse, position[1] * inverse
        if u == true_u:
            g_u -= view[15] * inverse * _dot(g_row_x, depth_axis)
        if v == true_v:
            g_v -= view[16] * inverse * _dot(g_row_y, depth_axis)
        g_z = -inverse * (g_u * true_u + g_v * true_v + g_inverse * inverse)
        g_screen = _mix(g_u * inverse, _vector(view, 0), g_v * inverse, _vector(view, 3))
        g_screen = _mix(1.0, g_screen, g_z, depth_axis)
        g_means[i, 0], g_means[i, 1], g_means[i, 2] = _mix(1.0, g_mean, 1.0, g_screen)
