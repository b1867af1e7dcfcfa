from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from bags.modules.gaussians import Gaussians, random_points
from bags.ops.filter3d import filter_sigma
from bags.ops.geometry import quaternion_to_rotation
from bags.ops.knn import mean_square_distance
from bags.ops.sh import dc_to_rgb
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud


def cloud(count: int, seed: int = 0) -> PointCloud:
    generator = torch.Generator().manual_seed(seed)
    return PointCloud(torch.randn(count, 3, generator=generator), torch.rand(count, 3, generator=generator))


def camera(z: float = 0.0, focal: float = 100.0) -> Camera:
    return Camera(torch.eye(3), torch.tensor([0.0, 0.0, -z]), focal, focal, 100, 80)


def test_mean_square_distance_against_brute_force() -> None:
    points = cloud(50).xyz.double()
    squared = torch.cdist(points, points).square().fill_diagonal_(torch.inf)
    expected = squared.sort(dim=1).values[:, :3].mean(dim=1)
    torch.testing.assert_close(mean_square_distance(points), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_clouds_start(count: int) -> None:
    gaussians = Gaussians(cloud(count), GaussianSettings(), 1.0)
    assert gaussians.log_scales.isfinite().all() and len(gaussians) == count


def test_start_values() -> None:
    points = PointCloud(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3], [0, 0, 0]]), torch.rand(5, 3))
    gaussians = Gaussians(points, GaussianSettings(), 2.0)
    assert float(gaussians.scales[0, 0].detach()) == pytest.approx(math.sqrt((0 + 1 + 4) / 3), rel=1e-6)
    torch.testing.assert_close(gaussians.opacities, torch.full((5,), 0.1))
    torch.testing.assert_close(dc_to_rgb(gaussians.sh_dc[:, 0]), points.rgb)
    coincident = Gaussians(PointCloud(torch.zeros(6, 3), torch.rand(6, 3)), GaussianSettings(), 1.0)
    torch.testing.assert_close(coincident.scales, torch.full((6, 3), 1e-7**0.5))


def test_random_start_fills_the_cube() -> None:
    points = random_points(2000, seed=3)
    assert points.xyz.min() < -1.25 and points.xyz.max() > 1.25 and points.xyz.abs().max() <= 1.3
    assert (points.rgb - 0.5).abs().max() < 0.01


def test_filter_formula() -> None:
    """sigma = sqrt(0.2) * smallest depth / largest focal; unseen points take the farthest seen depth."""
    means = torch.tensor([[0.0, 0, 5], [0, 0, 9], [0, 0, -4], [40, 0, 5]])
    near, far = camera(), camera(z=-3, focal=200.0)
    sigma = filter_sigma(means, [near, far], 0.2)
    factor = 0.2**0.5 / 200
    torch.testing.assert_close(sigma, torch.tensor([5.0, 9.0, 9.0, 9.0]) * factor)


def test_filter_sees_fifteen_percent_beyond_the_image() -> None:
    # Pixels from the centre of an image of 100 x 80.
    across, down = (50 + 14, -50 - 16), (-40 - 11, 40 + 13)
    means = [[x / 100, 0, 1] for x in across] + [[0, y / 100, 1] for y in down] + [[0, 0, 7]]
    expected = torch.tensor([1.0, 7.0, 1.0, 7.0, 7.0]) * 0.2**0.5 / 100
    torch.testing.assert_close(filter_sigma(torch.tensor(means), [camera()], 0.2), expected)


@pytest.mark.parametrize("seed", range(5))
def test_filter_is_as_wide_as_the_nearest_camera_that_sees_the_point_asks(seed: int) -> None:
    """By one camera and one point at a time; lenses of two focal lengths, points on both sides of the near plane."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    cameras = []
    for _ in range(6):
        rotation = quaternion_to_rotation(torch.randn(4, generator=generator))
        center = torch.randn(3, generator=generator) / 2
        fx, fy, width, height = uniform(20, 90), uniform(20, 90), int(uniform(20, 90)), int(uniform(20, 90))
        cameras.append(Camera(rotation, -rotation @ center, fx, fy, width, height))
    near = [one.center + uniform(0.05, 0.4) * one.rotation[2] for one in cameras for _ in range(5)]
    means, variance = torch.cat([torch.randn(300, 3, generator=generator), torch.stack(near)]), uniform(0.05, 0.5)
    depths = []
    for point in means:
        seen = [math.inf]
        for one in cameras:
            x, y, z = (one.rotation @ point + one.translation).tolist()
            inside = abs(one.fx * x) <= 0.65 * one.width * z and abs(one.fy * y) <= 0.65 * one.height * z
            if z > 0.2 and inside:
                seen.append(z)
        depths.append(min(seen))
    farthest = max(depth for depth in depths if depth < math.inf)
    focal = max(max(one.fx, one.fy) for one in cameras)
    expected = torch.tensor([min(depth, farthest) for depth in depths]) * math.sqrt(variance) / focal
    found = filter_sigma(means, cameras, variance)
    assert len(set(expected.tolist())) > 30
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_filter_of_nothing_seen_is_zero() -> None:
    assert filter_sigma(torch.tensor([[0.0, 0, -5]]), [camera()], 0.2).tolist() == [0.0]


def test_splats_apply_the_filter() -> None:
    gaussians = Gaussians(cloud(20), GaussianSettings(), 1.0)
    gaussians.filter_sigma = torch.rand(20)
    splats, raw = gaussians.splats(), gaussians.scales
    torch.testing.assert_close(splats.scales, (raw**2 + gaussians.filter_sigma[:, None] ** 2).sqrt())
    coefficient = (raw.prod(1) ** 2 / splats.scales.prod(1) ** 2).sqrt()
    torch.testing.assert_close(splats.opacities, gaussians.opacities * coefficient)


def test_a_shrinking_filter_is_absorbed_a_growing_one_is_not() -> None:
    gaussians = Gaussians(cloud(200), GaussianSettings(start_opacity=0.6), 1.0)
    gaussians.log_scales.data += torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) - 3
    gaussians.opacity_logits.data[:3] = 40  # opacity 1 in float32
    gaussians.update_filter([camera(-8.0, focal=50)])
    before = gaussians.splats()
    gaussians.absorb_filter([camera(-8.0, focal=200)])
    after = gaussians.splats()
    assert gaussians.opacity_logits.isfinite().all()
    torch.testing.assert_close(after.scales, before.scales, rtol=1e-5, atol=0)  # worst seen 3e-7
    torch.testing.assert_close(after.opacities, before.opacities, rtol=0, atol=2e-6)  # worst seen 1e-7
    gaussians.update_filter([camera(-8.0, focal=50)])
    assert (gaussians.splats().scales - before.scales).abs().max() > 1e-3  # the wide filter on top would show
    scales, logits = gaussians.log_scales.clone(), gaussians.opacity_logits.clone()
    gaussians.absorb_filter([camera(-8.0, focal=25)])
    assert torch.equal(gaussians.log_scales, scales) and torch.equal(gaussians.opacity_logits, logits)


def test_state_of_another_size_loads() -> None:
    big, small = Gaussians(cloud(30), GaussianSettings(), 3.0), Gaussians(cloud(7, seed=1), GaussianSettings(), 1.0)
    big.sh_degree = 2
    big.gradient_sum += 1
    small.load_state_dict(big.state_dict())
    assert len(small) == 30
    assert (small.sh_degree, small.extent) == (2, 3.0)
    for name, value in [*big.named_parameters(), *big.named_buffers()]:
        assert torch.equal(small.state_dict()[name], value), name


def test_checkpoint_with_inconsistent_tensors_is_refused(subtests: pytest.Subtests) -> None:
    """Rasterisers read as many rows of each as there are means: nothing would stop them at a tensor's end."""
    for name, change in product([*Gaussians.PARAMETERS, *Gaussians.BUFFERS], ["shorter", "wider"]):
        with subtests.test(name, change=change):
            state = Gaussians(cloud(7), GaussianSettings(), 1.0).state_dict()
            values = state[name]
            state[name] = values[:3] if change == "shorter" else torch.stack([values, values], dim=-1)
            with pytest.raises((RuntimeError, ValueError), match=r"size mismatch|shape"):
                Gaussians(cloud(5), GaussianSettings(), 1.0).load_state_dict(state)


def test_a_checkpoint_of_another_kind_of_harmonics_or_no_extent_is_refused(subtests: pytest.Subtests) -> None:
    for extra in [{"sh_degree": 4}, {"sh_degree": -1}, {"extent": 0.0}, {"extent": float("nan")}, {"extent": 1e300}]:
        with subtests.test(**extra):
            state = Gaussians(cloud(5), GaussianSettings(), 1.0).state_dict()
            state["_extra_state"] |= extra
            with pytest.raises(ValueError, match="harmonics of degree"):
                Gaussians(cloud(5), GaussianSettings(), 1.0).load_state_dict(state)
