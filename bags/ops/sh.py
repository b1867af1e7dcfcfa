"""Real spherical harmonics up to degree 3, with the order and signs that 3DGS stores (docs/method.md section 1).

The signs follow the Condon-Shortley phase; a ``.ply`` of any 3DGS code holds its coefficients in this convention.
"""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor

MAX_DEGREE = 3

C0 = sqrt(1 / (4 * pi))
C1 = sqrt(3 / (4 * pi))
C2_XY, C2_ZZ, C2_XX = sqrt(15 / (4 * pi)), sqrt(5 / (16 * pi)), sqrt(15 / (16 * pi))
C3_A, C3_B, C3_C = sqrt(35 / (32 * pi)), sqrt(105 / (4 * pi)), sqrt(21 / (32 * pi))
C3_D, C3_E = sqrt(7 / (16 * pi)), sqrt(105 / (16 * pi))


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Basis functions of degrees 0 to ``degree`` at unit vectors.

    Args:
        directions: (..., 3) unit vectors.
        degree: 0 to 3.

    Returns:
        (..., (degree + 1) ** 2) values.
    """
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, C0)]
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        basis += [
            C2_XY * x * y,
            -C2_XY * y * z,
            C2_ZZ * (2 * z * z - x * x - y * y),
            -C2_XY * x * z,
            C2_XX * (x * x - y * y),
        ]
    if degree >= 3:
        basis += [
            -C3_A * y * (3 * x * x - y * y),
            C3_B * x * y * z,
            -C3_C * y * (4 * z * z - x * x - y * y),
            C3_D * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -C3_C * x * (4 * z * z - x * x - y * y),
            C3_E * z * (x * x - y * y),
            -C3_A * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, dim=-1)


def sh_to_rgb(sh_dc: Tensor, sh_rest: Tensor, directions: Tensor, degree: int) -> Tensor:
    """Colour seen along ``directions``: the SH sum plus 0.5, clamped at 0 (docs/method.md section 2).

    Args:
        sh_dc: (N, 1, 3) coefficients of degree 0.
        sh_rest: (N, R, 3) coefficients of degrees 1 and up, R >= (degree + 1) ** 2 - 1.
        directions: (N, 3) unit vectors from the camera to the Gaussian, world axes.
        degree: 0 to 3.

    Returns:
        (N, 3) colours >= 0.
    """
    coefficients = torch.cat([sh_dc, sh_rest[:, : (degree + 1) ** 2 - 1]], dim=1)
    return (torch.einsum("nk,nkc->nc", sh_basis(directions, degree), coefficients) + 0.5).clamp_min(0)


def rgb_to_dc(rgb: Tensor) -> Tensor:
    """Degree-0 coefficients of a view-independent colour (any shape); inverse of ``dc_to_rgb``."""
    return (rgb - 0.5) / C0


def dc_to_rgb(dc: Tensor) -> Tensor:
    """Colour (any shape) of degree-0 coefficients alone, not clamped."""
    return dc * C0 + 0.5
