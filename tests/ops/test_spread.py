"""A Gaussian blur whose width changes from pixel to pixel."""

from __future__ import annotations

import pytest
import torch

from bags.ops.spread import LARGEST, RUNGS, spread


def test_a_point_gets_the_variance_that_was_asked_for(subtests: pytest.Subtests) -> None:
    for variance in [*RUNGS[1:6], 0.1, 0.7, 3.0, 12.0]:
        with subtests.test(variance=variance):
            image = torch.zeros(1, 81, 81, dtype=torch.float64)
            image[0, 40, 40] = 1
            out = spread(image, torch.full((81, 81), variance, dtype=torch.float64))[0]
            axis = torch.arange(81, dtype=torch.float64) - 40
            assert float(out.sum()) == pytest.approx(1)
            for marginal in (out.sum(0), out.sum(1)):
                assert float(marginal @ axis) == pytest.approx(0, abs=1e-9)
                assert float(marginal @ axis**2) == pytest.approx(variance)


def test_it_is_nearly_the_gaussian(subtests: pytest.Subtests) -> None:
    for variance in [1.0, 4.0, 16.0]:
        with subtests.test(variance=variance):
            image = torch.zeros(1, 81, 81, dtype=torch.float64)
            image[0, 40, 40] = 1
            row = spread(image, torch.full((81, 81), variance, dtype=torch.float64))[0].sum(0)
            axis = torch.arange(81, dtype=torch.float64) - 40
            gaussian = torch.exp(-(axis**2) / (2 * variance))
            gaussian /= gaussian.sum()
            assert float((row - gaussian).abs().sum()) < 0.12  # of 2, were they apart


def test_every_pixel_has_its_own_width() -> None:
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    variance = torch.zeros(20, 30)
    variance[:, 15:] = 2.0
    out = spread(image, variance)
    assert torch.equal(out[:, :, :15], image[:, :, :15])
    torch.testing.assert_close(out[:, :, 15:], spread(image, torch.full((20, 30), 2.0))[:, :, 15:])


def test_nothing_is_copied_or_filtered_where_all_is_sharp() -> None:
    image = torch.rand(3, 4, 5)
    assert spread(image, torch.zeros(4, 5)) is image


def test_an_even_image_stays_and_the_widest_is_bounded() -> None:
    image = torch.full((3, 10, 12), 0.25)
    variance = torch.full((10, 12), 1e6)
    torch.testing.assert_close(spread(image, variance), image)
    torch.testing.assert_close(spread(image, variance), spread(image, torch.full((10, 12), LARGEST)))


def test_gradients_are_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 6, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    variance = (0.3 + 2 * torch.rand(6, 7, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(spread, (image, variance))
