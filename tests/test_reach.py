"""The experiment that chose the smoothing (docs/full_resolution.md), on what it must find."""

from __future__ import annotations

import pytest
import torch

from bags.benchmark import reach
from bags.ops.smoothing import box_taps


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIDE": 60, "BORDER": 40, "SAMPLES": 1500, "ITERATIONS": 800, "TAPS": 5}.items():
        monkeypatch.setattr(reach, name, value)


def texture() -> torch.Tensor:
    return torch.rand(140, 140, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_kernels_sum_to_one_and_reach_as_far_as_they_say() -> None:
    for name, kernel in reach.blurs():
        radius = int(name.split()[1])
        offsets = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
        far = torch.hypot(offsets[:, None], offsets[None])[kernel > 1e-9].max()
        assert kernel.sum() == pytest.approx(1) and radius - 1 < far < radius + 2, name


def test_blurred_by_correlates_no_border_with_the_kernel() -> None:
    image = torch.zeros(140, 140, dtype=torch.float64)
    image[70, 70] = 1
    kernel = torch.rand(5, 7, dtype=torch.float64)[:, :5]
    torch.testing.assert_close(reach.blurred_by(kernel, image)[68:73, 68:73], kernel, rtol=1e-9, atol=1e-12)


def test_a_blur_that_the_taps_can_make_is_found_and_another_is_not() -> None:
    sharp, three = texture(), reach.smoothings(3)["box"]
    box = torch.ones(9, 9, dtype=torch.float64) / 81  # three boxes of three, side by side
    assert torch.allclose(box_taps(3), torch.full((3,), 1 / 3))
    blurred = reach.blurred_by(box, sharp)
    assert reach.best_psnr(sharp, blurred, 3, three) > 60
    assert reach.best_psnr(sharp, blurred, 3, lambda image: image) < 40
    assert reach.best_psnr(sharp, blurred, 1, lambda image: image) < 40


def test_projection_onto_the_simplex() -> None:
    generator = torch.Generator().manual_seed(0)
    point = torch.randn(30, generator=generator, dtype=torch.float64)
    near = reach._projected(point)
    assert near.sum().item() == pytest.approx(1) and near.min() >= 0
    for other in torch.distributions.Dirichlet(torch.ones(30).double()).sample((100,)):
        assert (point - near).norm() <= (point - other).norm()
