"""The ray caster's Numba kernels: unit solids, procedural textures, one small light with soft shadows.

Every solid is a unit ball, cube or cylinder under an affine map (rotation about z, scale per axis, translation). A ray
is transformed into the solid's frame, which does not change its parameter t. All three shapes are convex, so a ray
meets them in one interval of t. The room is the box that contains the camera. The first argument of most kernels is a
``World``, whose fields Numba reads by name.
"""

# mypy: disallow-untyped-defs=False
# Numba infers the types of these functions from the arguments of the first call.

from __future__ import annotations

import math

from bags.datamodules.synthetic.world import Pattern, Shape
from bags.ops.numba_cache import njit

# Inlined, because passing an array to a function counts its references atomically, which is 2.4 times slower overall.
_inlined = njit(error_model="numpy", forceinline=True)
_kernel = njit(cache=True, error_model="numpy", nogil=True)

_EPS = 1e-6
_BALL, _BOX, _CYLINDER = int(Shape.BALL), int(Shape.BOX), int(Shape.CYLINDER)
_PLAIN, _CHECKER, _STRIPES, _DOTS = int(Pattern.PLAIN), int(Pattern.CHECKER), int(Pattern.STRIPES), int(Pattern.DOTS)
_BRICK, _MOSAIC, _PLANKS, _MARBLE = int(Pattern.BRICK), int(Pattern.MOSAIC), int(Pattern.PLANKS), int(Pattern.MARBLE)
_TEXT, _STAR = int(Pattern.TEXT), int(Pattern.STAR)


# --- intersection --------------------------------------------------------------------------------------------------


@_inlined
def _local_point(solids, i, x, y, z):
    x, y, z = x - solids[i, 0], y - solids[i, 1], z - solids[i, 2]
    c, s = solids[i, 6], solids[i, 7]
    return (c * x + s * y) * solids[i, 8], (c * y - s * x) * solids[i, 9], z * solids[i, 10]


@_inlined
def _local_direction(solids, i, x, y, z):
    c, s = solids[i, 6], solids[i, 7]
    return (c * x + s * y) * solids[i, 8], (c * y - s * x) * solids[i, 9], z * solids[i, 10]


@_inlined
def _slab(o, d):
    """Interval of t with -1 <= o + t d <= 1."""
    if abs(d) < 1e-12:
        d = 1e-12
    a, b = (-1.0 - o) / d, (1.0 - o) / d
    return min(a, b), max(a, b)


@_inlined
def _round(a, half_b, c):
    """Interval of t with a t^2 + 2 half_b t + c <= 0 (empty: near > far)."""
    root = half_b * half_b - a * c
    if root < 0.0 or a < 1e-24:
        return 1e30, -1e30
    root = math.sqrt(root)
    return (-half_b - root) / a, (-half_b + root) / a


@_inlined
def _passes_by(solids, i, o, d):
    """True only if the ray's line misses the ball around the solid: a cheap test that avoids most exact ones."""
    x, y, z = solids[i, 0] - o[0], solids[i, 1] - o[1], solids[i, 2] - o[2]
    along = x * d[0] + y * d[1] + z * d[2]
    return (x * x + y * y + z * z - solids[i, 11]) * (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) > along * along


@_inlined
def _interval(shape, solids, i, o, d):
    """Interval of t within which the ray ``o + t d`` is inside the solid."""
    ox, oy, oz = _local_point(solids, i, o[0], o[1], o[2])
    dx, dy, dz = _local_direction(solids, i, d[0], d[1], d[2])
    if shape == _BALL:
        return _round(dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1.0)
    near, far = _slab(oz, dz)
    if shape == _CYLINDER:
        a, b = _round(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - 1.0)
        return max(near, a), min(far, b)
    a, b = _slab(ox, dx)
    near, far = max(near, a), min(far, b)
    a, b = _slab(oy, dy)
    return max(near, a), min(far, b)


@_inlined
def _nearest(world, o, d):
    """First surface along the ray: (t, index of the solid). The room (solid 0) closes every ray."""
    best, index = 1e30, 0
    for i in range(world.solids.shape[0]):
        if _passes_by(world.solids, i, o, d):
            continue
        near, far = _interval(world.shapes[i], world.solids, i, o, d)
        t = near if near > _EPS else far
        if near <= far and _EPS < t < best:
            best, index = t, i
    return best, index


@_inlined
def _shadowed(world, p, to_light):
    for i in range(1, world.solids.shape[0]):
        if _passes_by(world.solids, i, p, to_light):
            continue
        near, far = _interval(world.shapes[i], world.solids, i, p, to_light)
        if near <= far and near < 1.0 and far > 0.0:
            return True
    return False


# --- texture -------------------------------------------------------------------------------------------------------


@_inlined
def _hash(i, j, seed):
    """A pseudo-random number in [0, 1) for a lattice cell."""
    h = (i * 374761393 + j * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@_inlined
def _noise(u, v, seed):
    """Value noise in [0, 1], cells of side 1."""
    fu, fv = math.floor(u), math.floor(v)
    i, j, u, v = int(fu), int(fv), u - fu, v - fv
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    low = _hash(i, j, seed) * (1.0 - u) + _hash(i + 1, j, seed) * u
    high = _hash(i, j + 1, seed) * (1.0 - u) + _hash(i + 1, j + 1, seed) * u
    return low * (1.0 - v) + high * v


@_inlined
def _ink(world, row, col, u, v):
    """1 where the glyph of a text cell is printed; u, v in [0, 1) over the cell, v upwards."""
    x, y = int(u * 6.0), int((1.0 - v) * 10.0) - 1  # 5 x 7 dots in a cell of 6 x 10
    if x >= 5 or y < 0 or y >= 7:
        return 0.0
    letter = world.text[((1 - row) * 10 + col + 5) % world.text.shape[0]]
    return float(world.glyphs[letter, y, x])


@_inlined
def _pattern(world, m, u, v):
    """Weights of the material's second and third colour (the first gets the rest) at surface coordinates u, v."""
    kind, seed = world.patterns[m], m * 101 + world.seed
    su, sv = world.sizes[m, 0], world.sizes[m, 1]
    row = math.floor(v / sv)
    if kind == _PLAIN:
        return 0.0, 0.0
    if kind == _STRIPES:
        s = u / su + v / sv
        return (1.0, 0.0) if s - math.floor(s) < 0.5 else (0.0, 0.0)
    if kind == _MARBLE:
        s = u / su + v / sv + 1.6 * _noise(u / su, v / su, seed) + 0.8 * _noise(2.3 * u / su, 2.3 * v / su, seed + 1)
        wave = 0.5 + 0.5 * math.sin(2.0 * math.pi * s)
        return wave, 0.0
    if kind == _STAR:
        ring = math.floor(math.hypot(u, v) / sv)
        sector = math.floor((math.atan2(v, u) / (2.0 * math.pi) + 0.5) * su)
        return (1.0, 0.0) if int(ring + sector) % 2 == 0 else (0.0, 0.0)
    shift = 0.0
    if kind == _BRICK:
        shift = 0.5 * (row & 1)
    elif kind == _PLANKS:
        shift = _hash(row, 0, seed)
    u = u / su + shift
    v = v / sv - row
    col = math.floor(u)
    u -= col
    if kind == _CHECKER:
        return (1.0, 0.0) if (row + col) & 1 else (0.0, 0.0)
    if kind == _TEXT:
        return _ink(world, row, col, u, v), 0.0
    tone = _hash(row, col, seed + 1)
    if kind == _DOTS:
        radius = 0.25 + 0.13 * _hash(row, col, seed + 2)
        inside = (u - 0.5) ** 2 + (v - 0.5) ** 2 < radius * radius
        if not inside:
            return 0.0, 0.0
        return (1.0, 0.0) if tone < 0.5 else (0.0, 1.0)
    gap = 0.05 * min(su, sv) / su, 0.05 * min(su, sv) / sv
    if kind != _PLANKS:
        gap = 2.0 * gap[0], 2.0 * gap[1]
    if u < gap[0] or v < gap[1]:
        return 0.0, 1.0
    if kind == _PLANKS:
        tone = 0.55 * tone + 0.45 * _noise(u * su * 3.0, (v + row) * sv * 45.0, seed + 3)
    elif kind == _MOSAIC:
        tone = math.floor(tone * 4.0) / 3.0
    return tone, 0.0


@_inlined
def _albedo(world, m, u, v):
    b, c = _pattern(world, m, u, v)
    grain = world.sizes[m, 3]
    noise = _noise(u / grain, v / grain, m) + 0.7 * _noise(2.7 * u / grain, 2.7 * v / grain, m + 1) - 0.85
    gain = 1.0 + world.sizes[m, 2] * noise
    k = world.colours
    a = 1.0 - b - c
    return (
        gain * (a * k[m, 0, 0] + b * k[m, 1, 0] + c * k[m, 2, 0]),
        gain * (a * k[m, 0, 1] + b * k[m, 1, 1] + c * k[m, 2, 1]),
        gain * (a * k[m, 0, 2] + b * k[m, 1, 2] + c * k[m, 2, 2]),
    )


# --- shading -------------------------------------------------------------------------------------------------------


@_inlined
def _surface(world, i, p):
    """Outward normal (not normalised), material and texture coordinates of a point on a solid."""
    solids, materials = world.solids, world.materials
    x, y, z = _local_point(solids, i, p[0], p[1], p[2])
    shape = world.shapes[i]
    nx, ny, nz = x, y, z
    if shape == _BALL:
        m, u, v = materials[i, 0], math.atan2(y, x) * solids[i, 3], math.asin(min(1.0, max(-1.0, z))) * solids[i, 5]
    elif shape == _CYLINDER and abs(z) < 1.0 - 1e-9:
        m, u, v, nz = materials[i, 0], math.atan2(y, x) * solids[i, 3], z * solids[i, 5], 0.0
    elif shape == _BOX and abs(x) >= abs(y) and abs(x) >= abs(z):
        m, u, v, ny, nz = materials[i, 0], y * solids[i, 4], z * solids[i, 5], 0.0, 0.0
    elif shape == _BOX and abs(y) >= abs(z):
        m, u, v, nx, nz = materials[i, 1], x * solids[i, 3], z * solids[i, 5], 0.0, 0.0
    else:
        m, u, v, nx, ny = materials[i, 2], x * solids[i, 3], y * solids[i, 4], 0.0, 0.0
    nx, ny, nz = nx * solids[i, 8], ny * solids[i, 9], nz * solids[i, 10]
    return (solids[i, 6] * nx - solids[i, 7] * ny, solids[i, 6] * ny + solids[i, 7] * nx, nz), m, u, v


@_inlined
def _radiance(world, o, d, light):
    t, index = _nearest(world, o, d)
    p = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
    n, m, u, v = _surface(world, index, p)
    facing = -(n[0] * d[0] + n[1] * d[1] + n[2] * d[2])
    norm = math.copysign(1.0 / math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2), facing)
    n = (n[0] * norm, n[1] * norm, n[2] * norm)
    to_light = (light[0] - p[0], light[1] - p[1], light[2] - p[2])
    cosine = (n[0] * to_light[0] + n[1] * to_light[1] + n[2] * to_light[2]) / math.sqrt(
        to_light[0] ** 2 + to_light[1] ** 2 + to_light[2] ** 2
    )
    shade = world.ambient * (1.0 + 0.3 * n[2])
    if cosine > 0.0:
        p = (p[0] + 1e-5 * n[0], p[1] + 1e-5 * n[1], p[2] + 1e-5 * n[2])
        if not _shadowed(world, p, to_light):
            shade += world.brightness * cosine
    r, g, b = _albedo(world, m, u, v)
    return shade * r, shade * g, shade * b


@_kernel
def photograph(piece, pieces, world, origins, rotations, shifts, lights, focal, principal, image):
    """Mean of one ray per sample and pixel into every ``pieces``-th row of ``image``; see ``raycaster.photograph``."""
    samples = origins.shape[0]
    for row in range(piece, image.shape[0], pieces):
        for col in range(image.shape[1]):
            red, green, blue = 0.0, 0.0, 0.0
            for s in range(samples):
                x = (col + shifts[s, 0] - principal[0]) / focal[0]
                y = (row + shifts[s, 1] - principal[1]) / focal[1]
                q = rotations  # world to camera: the transpose rotates the ray into the world
                d = (
                    q[s, 0, 0] * x + q[s, 1, 0] * y + q[s, 2, 0],
                    q[s, 0, 1] * x + q[s, 1, 1] * y + q[s, 2, 1],
                    q[s, 0, 2] * x + q[s, 1, 2] * y + q[s, 2, 2],
                )
                o = (origins[s, 0], origins[s, 1], origins[s, 2])
                light = (lights[s, 0], lights[s, 1], lights[s, 2])
                r, g, b = _radiance(world, o, d, light)
                red, green, blue = red + r, green + g, blue + b
            image[row, col, 0] = red / samples
            image[row, col, 1] = green / samples
            image[row, col, 2] = blue / samples


@_kernel
def first_hits(piece, pieces, world, origins, directions, hits):
    """Ray parameter t of the first surface along rays ``origins + t * directions`` (R, 3) into ``hits`` (R,)."""
    for i in range(piece, origins.shape[0], pieces):
        o = (origins[i, 0], origins[i, 1], origins[i, 2])
        d = (directions[i, 0], directions[i, 1], directions[i, 2])
        hits[i] = _nearest(world, o, d)[0]
