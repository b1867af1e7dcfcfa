"""Blur along a camera's path: the kernel against its reference, and what both of them must do."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from bags.ops import path_blur as module
from bags.ops.geometry import rotation_matrices
from bags.ops.path_blur import path_blur, projections_along


def scene(
    seed: int, height: int = 23, width: int = 37, margin: int = 3, instants: int = 5, size: float = 0.03
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Image, points, turns, shifts and weights, float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    image = draw(3, height + 2 * margin, width + 2 * margin).sigmoid()
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rays = torch.stack([(columns - width / 2) / width, (rows - height / 2) / width, torch.ones(height, width)], dim=-1)
    points = rays * (2 + draw(height, width).abs())[..., None]
    return image, points, draw(instants, 3) * size, draw(instants, 3) * size, draw(instants).softmax(0)


def both(seed: int, dtype: torch.dtype, **given: float) -> list[Tensor]:
    """Value and gradients with respect to image, turns and shifts; in float64 by the reference."""
    image, points, turns, shifts, weights = (part.to(dtype) for part in scene(seed, **given))  # type: ignore[arg-type]
    leaves = [part.requires_grad_() for part in (image, turns, shifts)]
    width, height = points.shape[1], points.shape[0]
    margin = (image.shape[2] - width) // 2
    middle = width / 2 + margin, height / 2 + margin
    ways = projections_along(rotation_matrices(turns), shifts, (width, width), middle)
    blurred = path_blur(image, points, ways, weights)
    back = torch.arange(blurred.numel()).to(dtype).reshape(blurred.shape).sin()
    return [blurred.detach(), *torch.autograd.grad((blurred * back).sum(), leaves)]


def test_the_kernel_computes_what_the_reference_does(subtests: pytest.Subtests) -> None:
    """Relative to the largest entry, at most 2e-5 were seen; where the image is read exactly between two pixels its
    derivative jumps, which hits nobody with random numbers."""
    for given, seed in product(
        [{}, {"instants": 1}, {"margin": 0, "size": 0.3}, {"height": 2, "width": 2, "margin": 0}, {"height": 1}],
        range(2),
    ):
        with subtests.test(seed=seed, **given):
            for ours, true in zip(both(seed, torch.float32, **given), both(seed, torch.float64, **given), strict=True):
                assert float((ours - true).abs().max()) < 2e-4 * max(1.0, float(true.abs().max()))


def test_a_camera_at_rest_blurs_nothing() -> None:
    image, points, turns, shifts, weights = (part.float() for part in scene(3))
    ways = projections_along(rotation_matrices(0 * turns), 0 * shifts, (37, 37), (37 / 2 + 3, 23 / 2 + 3))
    torch.testing.assert_close(path_blur(image, points, ways, weights), image[:, 3:-3, 3:-3], atol=1e-5, rtol=0)


def test_a_turn_by_whole_pixels_moves_the_image_by_as_many() -> None:
    """To the right by two pixels half of the time: the mean of the image and of itself two pixels on."""
    image, points, turns, shifts, _ = (part.float() for part in scene(4, instants=2))
    shifts = torch.zeros_like(shifts)
    shifts[1, 0] = 2 * 2.0 / 37  # at distance 2
    points = points / points[..., 2:] * 2
    ways = projections_along(rotation_matrices(0 * turns), shifts, (37, 37), (37 / 2 + 3, 23 / 2 + 3))
    expected = (image[:, 3:-3, 3:-3] + image[:, 3:-3, 1:-5]) / 2
    torch.testing.assert_close(path_blur(image, points, ways, torch.tensor([0.5, 0.5])), expected, atol=1e-5, rtol=0)


def test_points_at_or_behind_the_camera_do_no_harm() -> None:
    image, points, turns, shifts, weights = (part.float() for part in scene(5))
    points[3], points[5, :, 2] = 0, -1
    image.requires_grad_()
    shifts.requires_grad_()
    ways = projections_along(rotation_matrices(turns), shifts, (37, 37), (21.5, 14.5))
    for dtype in (torch.float32, torch.float64):  # the kernel, and its reference
        blurred = path_blur(image.to(dtype), points.to(dtype), ways.to(dtype), weights.to(dtype))
        gradients = torch.autograd.grad(blurred.sum(), (image, shifts), retain_graph=True)
        assert all(torch.isfinite(part).all() for part in (blurred, *gradients))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_point_that_is_not_a_number_is_no_index(dtype: torch.dtype) -> None:
    image, points, turns, shifts, weights = (part.to(dtype) for part in scene(8))
    points[2, 5] = math.nan
    ways = projections_along(rotation_matrices(turns), shifts, (37, 37), (21.5, 14.5)).requires_grad_()
    blurred = path_blur(image.requires_grad_(), points, ways, weights)
    torch.testing.assert_close(blurred[:, 2, 5], image[:, 0, 0])
    torch.autograd.grad(blurred.sum(), (image, ways))


def test_without_the_kernel_instants_are_looked_up_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with their number."""
    at_once = both(7, torch.float64)
    monkeypatch.setattr(module, "AT_ONCE", 2 * 23 * 37)  # of 5 instants
    for ours, true in zip(both(7, torch.float64), at_once, strict=True):
        torch.testing.assert_close(ours, true)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_between_its_pixels_is_not_blurred(dtype: torch.dtype) -> None:
    """Cubic convolution is exact for quadratic images; bilinear interpolation adds up to an eighth of the curvature."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=dtype) for side in (29, 43)), indexing="ij")
    image = torch.stack([rows**2, columns**2 - rows * columns, 3 * columns * rows]) / 500
    rays = torch.stack([(columns - 21) / 40, (rows - 14) / 40, torch.ones_like(rows)], dim=-1)[3:-3, 3:-3]
    right, down = 0.3, 0.75  # pixels: the camera moves at distance 2
    ways = projections_along(
        torch.eye(3)[None].to(dtype), torch.tensor([[-right, -down, 0]]).to(dtype) / 20, (40, 40), (21, 14)
    )
    x, y = columns[3:-3, 3:-3] + right, rows[3:-3, 3:-3] + down
    expected = torch.stack([y**2, x**2 - x * y, 3 * x * y]) / 500
    torch.testing.assert_close(path_blur(image, 2 * rays, ways, torch.ones(1).to(dtype)), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_differences(dtype: torch.dtype) -> None:
    """Of a smooth image, so that its derivative does not jump from pixel to pixel."""
    image, points, turns, shifts, weights = scene(6, height=9, width=12, instants=3)
    rows, columns = torch.meshgrid(torch.arange(15), torch.arange(18), indexing="ij")
    image = torch.stack([rows + 0.5 * columns, 2 * columns - rows, rows * 0.1 + columns]).to(dtype)  # planes

    def value(shifts: Tensor) -> Tensor:
        ways = projections_along(rotation_matrices(turns.to(dtype)), shifts.to(dtype), (12, 12), (9.0, 7.5))
        return path_blur(image, points.to(dtype), ways, weights.to(dtype)).double().square().mean()

    moved = (0.01 * shifts).requires_grad_()
    gradient = torch.autograd.grad(value(moved), moved)[0]
    step = 1e-6 if dtype == torch.float64 else 1e-2
    direction = torch.ones_like(moved)
    with torch.no_grad():
        difference = (value(moved + step * direction) - value(moved - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-2)
