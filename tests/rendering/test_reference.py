"""The oracle itself: against hand-made formulas, a pixel-by-pixel loop, and finite differences."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
from random_splats import leaves, random_camera, random_splats

from bags.errors import BagsError, SettingError
from bags.rendering import make_rasterizer, reference
from bags.types import Camera, Splats


def one_splat(position: tuple[float, float, float], scale: float = 0.1, opacity: float = 0.5) -> Splats:
    return Splats(
        means=torch.tensor([position], dtype=torch.float64),
        scales=torch.full((1, 3), scale, dtype=torch.float64),
        rotations=torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64),
        opacities=torch.tensor([opacity], dtype=torch.float64),
        sh_dc=torch.zeros(1, 1, 3, dtype=torch.float64),
        sh_rest=torch.zeros(1, 15, 3, dtype=torch.float64),
    )


def test_projection_of_a_ball_follows_the_formulas():
    camera = Camera(torch.eye(3), torch.tensor([0.0, 0.0, 1.0]), 50.0, 60.0, 41, 31, offset=(0.25, -0.5))
    out = reference.project(one_splat((0.0, 0.0, 3.0)), camera, sh_degree=3, kernel_size=0.1)
    # On the axis a ball of deviation s at depth z has variances (f s / z)^2, plus the filter's 0.1.
    a, c = (50 * 0.1 / 4) ** 2, (60 * 0.1 / 4) ** 2
    torch.testing.assert_close(out.means2d[0].tolist(), [20.25, 14.5])
    torch.testing.assert_close(out.conics[0].tolist(), [1 / (a + 0.1), 0.0, 1 / (c + 0.1)])
    assert out.opacities.item() == pytest.approx(0.5 * math.sqrt(a * c / ((a + 0.1) * (c + 0.1))))
    assert out.distances.item() == pytest.approx(4)
    assert out.radii.item() == math.ceil(3 * math.sqrt(c + 0.1))
    torch.testing.assert_close(out.colours[0].tolist(), [0.5, 0.5, 0.5])


def test_jacobian_is_taken_at_the_clamped_direction():
    camera = Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 40, 40)  # tan(fov / 2) = 1
    out = reference.project(one_splat((5.0, 0.0, 2.0), scale=0.5), camera, sh_degree=0, kernel_size=0.1)
    variance = (20 / 2 * 0.5) ** 2 * (1 + 1.3**2) + 0.1  # and not 1 + 2.5^2
    assert out.conics[0, 0].item() == pytest.approx(1 / variance)


@pytest.mark.parametrize("z, radius_is_zero", [(0.2, True), (0.21, False), (-3.0, True)])
def test_near_plane(z, radius_is_zero):
    camera = Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 40, 40)
    out = reference.project(one_splat((0.0, 0.0, z)), camera, sh_degree=0)
    assert (out.radii.item() == 0) is radius_is_zero


def test_a_gaussian_without_area_is_transparent():
    camera = Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 40, 40)
    out = reference.project(one_splat((0.0, 0.0, 5.0), scale=1e-4), camera, sh_degree=0)
    assert out.opacities.item() == 0


@pytest.mark.parametrize("exponent", [10, 20, 30, 38])
def test_gaussians_too_large_for_their_floats_give_no_gradient(exponent):
    """Sums over all Gaussians, a camera pose's gradient among them, would be NaN with one of theirs."""
    camera, splats = random_camera(30, 20), leaves(random_splats(12, random_camera(30, 20), seed=exponent))
    splats.scales.data[1:4] *= 10.0**exponent
    out = make_rasterizer("reference", "cpu")(splats, camera, sh_degree=3, background=torch.zeros(3))
    (out.rgb.sum() + out.depth.sum() + out.alpha.sum()).backward()
    assert not out.radii[1:4].any() and out.radii[4:].any()
    for name, values in vars(splats).items():
        assert values.grad.isfinite().all() and not values.grad[1:4].any(), name
    assert splats.scales.grad.any()


def blend_by_hand(projection, background, width, height):
    """docs/method.md section 2, one pixel and one Gaussian at a time."""
    image = torch.zeros(5, height, width, dtype=torch.float64)
    order = [i for i in projection.distances.argsort().tolist() if projection.radii[i] > 0]
    for row in range(height):
        for column in range(width):
            left, total = 1.0, torch.zeros(4, dtype=torch.float64)
            for i in order:
                x, y, radius = *projection.means2d[i].tolist(), projection.radii[i].item()
                if not (x - radius) // 16 <= column // 16 <= (x + radius) // 16:
                    continue
                if not (y - radius) // 16 <= row // 16 <= (y + radius) // 16:
                    continue
                xx, xy, yy = projection.conics[i].tolist()
                dx, dy = column - x, row - y
                power = -(xx * dx * dx + yy * dy * dy) / 2 - xy * dx * dy
                alpha = min(0.99, projection.opacities[i].item() * math.exp(power))
                if alpha < 1 / 255:
                    continue
                if left * (1 - alpha) < 1e-4:
                    break
                feature = torch.cat([projection.colours[i], projection.distances[i, None]])
                total += alpha * left * feature
                left *= 1 - alpha
            image[:3, row, column] = total[:3] + left * background
            image[3, row, column], image[4, row, column] = total[3], 1 - left
    return image


def test_blending_matches_a_loop_over_pixels():
    camera = random_camera(35, 19, seed=3)
    splats = random_splats(25, camera, seed=3, size=1.5, opacity=3).to(dtype=torch.float64)
    background = torch.rand(3, dtype=torch.float64)
    projection = reference.project(splats, camera, sh_degree=2)
    rgb, depth, alpha = reference.rasterize(projection, background, camera.width, camera.height)
    expected = blend_by_hand(projection, background, camera.width, camera.height)
    assert expected[4].max() > 0.999  # the stop is reached
    torch.testing.assert_close(torch.cat([rgb, depth[None], alpha[None]]), expected, rtol=1e-12, atol=1e-12)


def test_batching_does_not_change_the_image(monkeypatch):
    camera = random_camera(70, 50)
    splats = random_splats(200, camera).to(dtype=torch.float64)
    projection, background = reference.project(splats, camera, sh_degree=0), torch.zeros(3, dtype=torch.float64)
    whole = reference.rasterize(projection, background, 70, 50)
    monkeypatch.setattr(reference, "BATCH", 1)
    for a, b in zip(whole, reference.rasterize(projection, background, 70, 50), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_factory_and_bad_input():
    with pytest.raises(SettingError, match=r"rasterizer\.name"):
        make_rasterizer("opengl", "cpu")
    with pytest.raises(BagsError, match="meta"):
        make_rasterizer("auto", "meta")
    camera, splats = random_camera(8, 8), random_splats(3, random_camera(8, 8))
    with pytest.raises(SettingError, match="sh_degree = 4"):
        reference.project(splats, camera, sh_degree=4)
    shapes = {f.name: getattr(splats, f.name) for f in fields(splats)}
    with pytest.raises(BagsError, match=r"splats\.opacities.*\(2,\)"):
        reference.project(Splats(**{**shapes, "opacities": torch.rand(2)}), camera, sh_degree=0)
    with pytest.raises(SettingError, match="sh_rest has 3"):
        reference.project(Splats(**{**shapes, "sh_rest": torch.rand(3, 3, 3)}), camera, sh_degree=2)
