"""Blur of a lens: the kernel against its reference, and what both of them must do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bags.ops.defocus import LARGEST, SOFT, defocus, disc_kernels, discs


def scene(seed: int, height: int = 20, width: int = 33, largest: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    """Image, variances and distances, float64."""
    generator = torch.Generator().manual_seed(seed)
    image, *maps = torch.rand(5, height, width, generator=generator, dtype=torch.float64).split([3, 1, 1])
    return image, maps[0][0] * largest, 1 + maps[1][0]


def both(seed: int, dtype: torch.dtype, **given: float) -> list[Tensor]:
    """Value and gradients with respect to image and variance; in float64 by the reference."""
    image, variance, distance = (part.to(dtype) for part in scene(seed, **given))  # type: ignore[arg-type]
    leaves = [part.requires_grad_() for part in (image, variance)]
    blurred = defocus(image, variance, distance)
    back = torch.arange(blurred.numel()).to(dtype).reshape(blurred.shape).sin()
    return [blurred.detach(), *torch.autograd.grad((blurred * back).sum(), leaves)]


def test_the_kernel_computes_what_the_reference_does(subtests: pytest.Subtests) -> None:
    """Relative to the largest entry, at most 5e-6 were seen; where a pixel lies exactly on the edge of a disc the
    derivative jumps, which hits nobody with random numbers."""
    for given in [{"largest": 0.05}, {}, {"largest": 20.0}, {"height": 2, "width": 3}, {"height": 1, "largest": 9.0}]:
        for seed in range(2):
            with subtests.test(seed=seed, **given):
                ours, true = (both(seed, dtype, **given) for dtype in (torch.float32, torch.float64))
                for one, other in zip(ours, true, strict=True):
                    assert float((one - other).abs().max()) < 5e-5 * float(other.abs().max())


def test_a_point_becomes_a_disc_of_the_variance_that_was_asked_for(subtests: pytest.Subtests) -> None:
    axis = torch.arange(41, dtype=torch.float64) - 20
    for variance in [0.1, 0.5, 1.0, 4.0, 12.0, 30.0]:
        with subtests.test(variance=variance):
            image = torch.zeros(3, 41, 41, dtype=torch.float64)
            image[:, 20, 20] = 1
            even = torch.full((41, 41), variance, dtype=torch.float64)
            out = defocus(image, even, torch.ones_like(even))[0]
            assert float(out.sum()) == pytest.approx(1)
            for marginal in (out.sum(0), out.sum(1)):
                assert float(marginal @ axis**2) == pytest.approx(variance, rel=5e-3)
            radius = discs(even)[0][0, 0].item()
            away = torch.hypot(axis[:, None], axis)
            assert (out[away > radius + SOFT] == 0).all()
            inside = out[away < radius - SOFT]
            torch.testing.assert_close(inside, inside[:1].expand_as(inside))  # an even disc
            torch.testing.assert_close(disc_kernels(even[0, :1], 20)[0], out)


def test_large_discs_have_the_variance_of_a_circle() -> None:
    radius, share = discs(torch.tensor([16.0, 25.0], dtype=torch.float64))
    torch.testing.assert_close(radius, torch.tensor([8.0, 10.0], dtype=torch.float64), rtol=0.01, atol=0)
    torch.testing.assert_close(share * math.pi * radius**2, torch.ones_like(radius), rtol=0.02, atol=0)
    assert float(discs(torch.tensor([1e6]))[0]) == pytest.approx(LARGEST)


def test_nothing_is_done_where_all_is_sharp() -> None:
    image = torch.rand(3, 4, 5)
    assert defocus(image, torch.zeros(4, 5), torch.ones(4, 5)) is image


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_near_discs_cover_what_is_behind_and_far_ones_do_not(dtype: torch.dtype) -> None:
    """White on the left and black on the right. Which half is blurred, and which of the two is nearer?"""
    image, left = torch.zeros(3, 9, 40, dtype=dtype), torch.arange(40) < 20
    image[:, :, left] = 1

    def row(blurred: Tensor, near: Tensor) -> Tensor:
        variance, distance = (
            torch.where(half, 4.0, low).expand(9, 40).to(dtype) for half, low in ((blurred, 0.0), (~near, 2.0))
        )
        return defocus(image, variance, distance)[0, 4]

    runs_over = row(blurred=left, near=left)  # a blurred thing in front of a sharp background
    assert float(runs_over[20]) > 0.25 and 0.01 < float(runs_over[23]) < float(runs_over[21])
    assert 0.6 < float(runs_over[18]) < 0.9 and float(runs_over[14]) > 0.99  # seen through at its edge
    stays = row(blurred=left, near=~left)  # a sharp thing in front of a blurred background
    assert float(stays[20:].max()) < 1e-6
    assert float(stays[:16].min()) > 0.99


def test_an_even_image_stays() -> None:
    _, variance, distance = (part.float() for part in scene(3, largest=40.0))
    image = torch.full((3, 20, 33), 0.25)
    torch.testing.assert_close(defocus(image, variance, distance), image)


def test_gradients_are_finite_differences() -> None:
    image, variance, distance = scene(4, height=6, width=7)
    inputs = image.requires_grad_(), (0.05 + variance).requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: defocus(*given, distance), inputs, eps=1e-7, atol=1e-5)
