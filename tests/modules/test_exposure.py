"""Corrections of the photos' exposure and colours: their formulas, and the mean that they keep at zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bags.modules.exposure import CORRECTIONS, ColourMaps, Gains, PhotoCorrections
from bags.ops.light import to_linear

KINDS = sorted(CORRECTIONS)


def picture(low: float = -0.3, high: float = 1.4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(3, 8, 9, generator=generator)


def corrected(kind: str, views: int = 4, size: float = 0.2) -> PhotoCorrections:
    made = CORRECTIONS[kind](views).double()
    generator = torch.Generator().manual_seed(1)
    made.numbers.data.copy_(size * torch.randn(made.numbers.shape, generator=generator, dtype=torch.float64) + size)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_start_nothing_changes_not_even_a_bit(kind: str) -> None:
    made = CORRECTIONS[kind](3)
    values = torch.cat([picture(), picture(0, 0.05), torch.zeros(3, 1, 9)], dim=1)
    assert torch.equal(made(1, values), values)
    assert made.stops(1) == pytest.approx(0, abs=1e-6)


def test_a_gain_multiplies_light() -> None:
    made = corrected("gain", size=0.7)
    values = picture().double()
    for view, stops in enumerate(made.numbers.detach() - made.numbers.detach().mean()):
        torch.testing.assert_close(to_linear(made(view, values)), 2**stops * to_linear(values), atol=1e-12, rtol=1e-9)
        assert made.stops(view) == pytest.approx(float(stops))


def test_a_map_is_affine_in_the_values() -> None:
    made = corrected("affine")
    values = picture().double()
    change = (made.numbers - made.numbers.mean(dim=0))[2]
    expected = values.reshape(3, -1)
    expected = expected + change @ torch.cat([expected, torch.ones_like(expected[:1])])
    torch.testing.assert_close(made(2, values), expected.reshape(values.shape))


def test_a_gain_is_an_affine_map_of_all_but_dark_values() -> None:
    gains, maps = Gains(2).double(), ColourMaps(2).double()
    gains.numbers.data.copy_(torch.tensor([0.6, -0.6]))
    k = 2 ** (0.6 / 2.4)
    maps.numbers.data[0] = (k - 1) * torch.cat([torch.eye(3), torch.full((3, 1), 0.055)], dim=1)
    maps.numbers.data[1] = -maps.numbers.data[0]  # so that the mean is zero
    values = picture(0.1, 1.0).double()
    torch.testing.assert_close(maps(0, values), gains(0, values), atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_the_photos_is_zero_whatever_the_parameters_are(kind: str) -> None:
    made = corrected(kind)
    total = torch.stack([made.of(view) for view in range(4)]).sum(dim=0)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-15, rtol=0)
    values = picture().double()
    before = made(3, values)
    made.numbers.data += 0.3  # a cast over all photos
    torch.testing.assert_close(made(3, values), before)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_a_correction_whose_mean_stands_still(kind: str) -> None:
    made = corrected(kind)
    values = picture().double().requires_grad_()
    weights = picture(seed=2).double()
    (made(1, values) * weights).sum().backward()
    assert made.numbers.grad is not None and values.grad is not None
    step = 1e-6
    for entry in range(made.numbers[0].numel()):
        moved = []
        for sign in (1, -1):
            other = CORRECTIONS[kind](4).double()
            numbers = made.numbers.detach().clone().reshape(4, -1)
            numbers[1, entry] += sign * step
            numbers[2, entry] -= sign * step
            other.numbers.data.copy_(numbers.reshape(made.numbers.shape))
            moved.append(float((other(1, values.detach()) * weights).sum().detach()))
        slope = (moved[0] - moved[1]) / (2 * step)
        assert float(made.numbers.grad[1].reshape(-1)[entry]) == pytest.approx(slope, rel=1e-5, abs=1e-7)
    assert not made.numbers.grad[[0, 2, 3]].any()  # a photo moves only by what it shows itself
    assert torch.autograd.gradcheck(
        lambda image: made(1, image), picture(0.1, 0.9).double()[:, :2, :2].requires_grad_()
    )


def test_it_is_projection_after_every_step_of_adam() -> None:
    """Photo 5 is seen last: until then it does not move but for the mean."""
    views = [0, 1, 2, 3, 4, 1, 0, 2, 0, 3, 4, 4, 1, 5, 2, 0, 5]
    light = torch.tensor([0.8, 1.3, 1.0, 0.6, 1.6, 2.0], dtype=torch.float64)
    made = Gains(6).double()
    projected = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    ours, theirs = torch.optim.Adam([made.numbers], lr=0.05), torch.optim.Adam([projected], lr=0.05)
    for view in views:
        for optimizer, stops in ((ours, made.of(view)), (theirs, projected[view])):
            optimizer.zero_grad()
            (torch.exp2(stops) - light[view]).square().backward()
            optimizer.step()
        projected.data -= projected.data.mean()
    centred = torch.stack([made.of(view) for view in range(6)])
    torch.testing.assert_close(centred, projected, atol=1e-12, rtol=1e-9)
    assert centred.detach().abs().max() > 0.1
