"""Kind, direction and size of blur: fields of known kernels, and the figures that tell the kinds apart."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from bags.modules.blur_estimate import estimate_blur, gradient
from bags.modules.blur_kind import BlurField, blur_field
from bags.modules.bpn import Proposal

SIDE = 21
SHAPE = (24, 32)
OPEN = torch.ones(SHAPE)


def grid() -> tuple[Tensor, Tensor]:
    axis = torch.arange(SIDE, dtype=torch.float64) - SIDE // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


def line(length: float, degrees: float) -> Tensor:
    """(K, K) an even streak: bilinear splats of many of its points."""
    kernel = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for t in (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000 - 0.5:
        x = SIDE // 2 + length * t * math.cos(math.radians(degrees))
        y = SIDE // 2 + length * t * math.sin(math.radians(degrees))
        i, j = int(y), int(x)
        fy, fx = y - i, x - j
        kernel[i : i + 2, j : j + 2] += torch.outer(torch.stack([1 - fy, fy]), torch.stack([1 - fx, fx]))
    return kernel / kernel.sum()


def disc(radius: float) -> Tensor:
    x, y = grid()
    return (x.hypot(y) <= radius).double() / (x.hypot(y) <= radius).sum()


def box(side: int) -> Tensor:
    x, y = grid()
    return ((x.abs() <= side // 2) & (y.abs() <= side // 2)).double() / side**2


def delta() -> Tensor:
    return box(1)


def proposal_of(kernels: Tensor, mask: float = 1.0) -> Proposal:
    """A network that proposes ``kernels`` (H * W, K * K): features are the logits."""
    logits = kernels.clamp_min(1e-12).log().T.reshape(-1, *SHAPE)
    return Proposal(logits, torch.eye(SIDE * SIDE, dtype=kernels.dtype), torch.full(SHAPE, mask, dtype=kernels.dtype))


def everywhere(kernel: Tensor) -> Tensor:
    return kernel.reshape(1, -1).expand(SHAPE[0] * SHAPE[1], -1)


def sharp() -> Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def depth() -> Tensor:
    return torch.linspace(2, 6, SHAPE[1], dtype=torch.float64).expand(SHAPE)


def test_a_line_is_shake_of_its_length_and_direction(subtests: pytest.Subtests) -> None:
    for degrees, length in product([0.0, 20.0, 45.0, 90.0, 135.0, 170.0], [4.0, 9.0, 15.0]):
        with subtests.test(degrees=degrees, length=length):
            found = estimate_blur(proposal_of(everywhere(line(length, degrees))), sharp(), depth())
            assert found.kind == "motion" and found.mask == 1 and found.radius == 0
            assert abs((found.direction - degrees + 90) % 180 - 90) < 0.5  # worst seen 0.26, of the splats
            # Bilinear splats widen the line by 1 / 6 at most, so its variance by that, across and along.
            assert length**2 / 12 - 1e-6 < found.length**2 / 12 < length**2 / 12 + 0.26
            assert found.spread == pytest.approx(math.sqrt(length**2 / 12), abs=0.25)


def test_a_box_everywhere_is_low_resolution_and_a_point_is_sharp() -> None:
    found = estimate_blur(proposal_of(everywhere(box(5))), sharp(), depth())
    assert (found.kind, found.length, found.direction, found.radius) == ("low_resolution", 0, 0, 0)
    assert found.spread == pytest.approx(2)  # (5^2 - 1) / 12 along each axis
    found = estimate_blur(proposal_of(everywhere(delta())), sharp(), depth())
    assert (found.kind, found.length, found.radius) == ("sharp", 0, 0)
    assert found.spread == pytest.approx(0, abs=1e-3)
    for mask, kind in ((0.0, "sharp"), (0.07, "sharp"), (0.09, "motion")):
        found = estimate_blur(proposal_of(everywhere(line(9, 0)), mask), sharp(), depth())
        assert (found.kind, found.mask) == (kind, pytest.approx(mask))


def test_discs_that_grow_with_depth_are_defocus() -> None:
    radii = (6 * (2 / depth() - 1 / 3).abs()).clamp_min(0.1).reshape(-1)  # in focus at depth 6
    kernels = torch.stack([disc(float(radius)).reshape(-1) for radius in radii])
    found = estimate_blur(proposal_of(kernels), sharp(), depth())
    assert found.kind == "defocus" and (found.length, found.direction) == (0, 0)
    x, y = grid()
    weight = gradient(sharp()).square().sum(dim=0).reshape(-1)
    variance = (kernels @ (x * x + y * y).reshape(-1) * weight).sum() / weight.sum()
    assert found.radius == pytest.approx(math.sqrt(2 * float(variance)), rel=1e-6)
    assert estimate_blur(proposal_of(everywhere(disc(4))), sharp(), depth()).kind == "low_resolution"  # as told


def test_only_blur_across_edges_counts() -> None:
    """Upright edges tell nothing of how tall a kernel is; where there are none at all, every pixel counts alike."""
    torch.manual_seed(0)
    wide = torch.zeros(3, *SHAPE, dtype=torch.float64)
    wide[0] = 4.0
    wide[2] = torch.rand(SHAPE) * 100
    across = torch.stack([torch.rand(SHAPE), torch.zeros(SHAPE)]).double()
    assert blur_field(wide, across, depth(), OPEN).major == pytest.approx(4.0)
    same = torch.tensor([3.0, 0, 1.0])[:, None, None].expand(-1, *SHAPE)
    even = blur_field(same, torch.zeros(2, *SHAPE), depth(), OPEN)
    assert (even.major, even.minor, even.direction) == pytest.approx((3, 1, 0), abs=1e-5)
    assert even.spread == pytest.approx(2) and even.depth_variation == pytest.approx(0, abs=1e-6)


def test_a_flat_scene_has_no_depth_to_follow(subtests: pytest.Subtests) -> None:
    for constant in [1e-3, 1.0, 1e4]:
        with subtests.test(constant=constant):
            variance = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
            assert blur_field(variance, torch.rand(2, *SHAPE), torch.full(SHAPE, constant), OPEN).depth_variation < 1e-3


def test_depth_variation_is_that_of_the_parabola() -> None:
    """Squared spreads and masks of ``(a + b / z)^2`` are followed wholly; the depth's unit does not matter."""
    spread = (1 + 3 / depth()).square()
    half = torch.stack([spread / 2, torch.zeros(SHAPE), spread / 2])
    slopes = torch.ones(2, *SHAPE)
    expected = float(spread.std(correction=0) / spread.mean())
    for unit in (1e-3, 1.0, 1e3):
        for mask, share in ((OPEN, 0.5), (spread / 9, 1.0)):
            found = blur_field(half, slopes, unit * depth(), mask).depth_variation
            assert found == pytest.approx(share * expected, rel=1e-6)


def test_of_direction_and_depth_the_one_that_tells_more_decides() -> None:
    field = {"mask": 0.5, "spread": 1.0, "major": 1.0, "direction": 0.0}
    line = 0.6 / 1.4 / math.sqrt(2)  # variation over the directions of a minor variance of 0.4
    assert BlurField(**field, minor=0.4, depth_variation=line - 0.01).kind == "motion"
    assert BlurField(**field, minor=0.4, depth_variation=line + 0.01).kind == "defocus"
    assert BlurField(**field, minor=0.6, depth_variation=0.1).kind == "low_resolution"
    assert BlurField(**field, minor=1.0, depth_variation=0.0).direction_variation == 0


def test_moments_of_the_line_are_a_line_s() -> None:
    """The kernels above and the moments agree: 12 times the variance along the line is its length squared."""
    proposal = proposal_of(everywhere(line(9, 0)))
    _, covariance = proposal.moments()
    assert 12 * float(covariance[0, 5, 5]) == pytest.approx(81, rel=0.03)
    assert BlurField(1.0, 2.0, 81 / 12, 0.0, 0.0, 0.0).length == pytest.approx(9)
    assert BlurField(1.0, 3.0, 4.5, 4.5, 0.0, 0.0).radius == pytest.approx(3 * math.sqrt(2))
