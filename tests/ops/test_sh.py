"""Spherical harmonics: orthonormal, in the stored convention, differentiable."""

from __future__ import annotations

import numpy as np
import torch

from bags.ops.sh import dc_to_rgb, rgb_to_dc, sh_basis, sh_to_rgb


def test_basis_is_orthonormal_on_the_sphere():
    # Gauss-Legendre in z times even spacing in azimuth integrates these polynomials exactly.
    z, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(8))
    azimuth = torch.arange(16, dtype=torch.float64) * 2 * torch.pi / 16
    radius = (1 - z * z).sqrt()[:, None]
    directions = torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), z[:, None].expand(8, 16)], dim=-1)
    basis = sh_basis(directions.reshape(-1, 3), 3)
    areas = (weights[:, None] * 2 * torch.pi / 16).expand(8, 16).reshape(-1, 1)
    torch.testing.assert_close(basis.T @ (areas * basis), torch.eye(16, dtype=torch.float64))


def test_order_signs_and_numbers_are_those_of_stored_models():
    along = torch.eye(3, dtype=torch.float64)
    degree1 = 0.48860251190291987 * torch.tensor([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(sh_basis(along, 1)[:, 1:], degree1)
    diagonal = torch.tensor([[1.0, 1, 1]], dtype=torch.float64)  # the polynomials themselves: no need for unit length
    expected = [0.28209479177387814, -0.4886025, 0.4886025, -0.4886025, 1.0925485, -1.0925485, 0, -1.0925485, 0]
    expected += [-1.1800872, 2.8906114, -0.9140916, -1.4927053, -0.9140916, 0, 1.1800872]
    torch.testing.assert_close(sh_basis(diagonal, 3)[0], torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_lower_degrees_are_the_first_columns():
    directions = torch.nn.functional.normalize(torch.randn(5, 3), dim=1)
    for degree in range(4):
        torch.testing.assert_close(sh_basis(directions, degree), sh_basis(directions, 3)[:, : (degree + 1) ** 2])


def test_colour_is_never_negative_and_dc_round_trips():
    rgb = torch.rand(6, 3)
    torch.testing.assert_close(dc_to_rgb(rgb_to_dc(rgb)), rgb)
    directions = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    flat = sh_to_rgb(rgb_to_dc(rgb)[:, None], torch.zeros(6, 15, 3), directions, 3)
    torch.testing.assert_close(flat, rgb)
    assert (sh_to_rgb(rgb_to_dc(rgb - 2)[:, None], torch.zeros(6, 15, 3), directions, 3) == 0).all()
