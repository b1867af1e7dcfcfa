"""Blur along a camera's path: the kernel against its reference, and what both of them must do."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from bags.ops.geometry import rotation_matrices
from bags.ops.path_blur import path_blur, path_blur_reference, projections_along


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
    for blur in (path_blur, path_blur_reference):
        blurred = blur(image, points, ways, weights)
        gradients = torch.autograd.grad(blurred.sum(), (image, shifts), retain_graph=True)
        assert all(torch.isfinite(part).all() for part in (blurred, *gradients))


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
