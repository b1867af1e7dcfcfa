"""A render in the colours of its photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bags.ops.colour_fit import in_colours_of


def noise(seed: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(seed))


def error(one: Tensor, other: Tensor) -> float:
    return float((one - other).double().square().mean())


def test_an_affine_map_of_the_colours_is_undone() -> None:
    render = noise(0)
    mix = torch.tensor([[0.5, 0.1, 0.0], [0.05, 0.4, 0.1], [0.0, 0.2, 0.6]])
    photo = torch.einsum("ij,jhw->ihw", mix, render) + torch.tensor([0.1, 0.3, 0.05])[:, None, None]
    torch.testing.assert_close(in_colours_of(photo, render), photo)


def test_it_is_the_least_squares_fit() -> None:
    render, photo = noise(0), noise(1, 0.3, 0.7)
    colours = np.concatenate([render.reshape(3, -1).numpy(), np.ones((1, 192), dtype=np.float32)]).T.astype(np.float64)
    fit = np.linalg.lstsq(colours, photo.reshape(3, -1).T.double().numpy(), rcond=None)[0]
    expected = torch.from_numpy((colours @ fit).T.reshape(3, 12, 16)).float()
    torch.testing.assert_close(in_colours_of(photo, render), expected)


@pytest.mark.parametrize("seed", range(5))
def test_it_never_makes_a_render_worse(seed: int) -> None:
    photo = noise(seed)
    render = (photo + 0.3 * noise(seed + 100, -1, 1)).clamp(0, 1)
    assert error(in_colours_of(photo, render), photo) <= error(render, photo)


def test_masked_pixels_have_no_say() -> None:
    render, photo = noise(0), 0.5 * noise(0) + 0.2
    counts = torch.ones(12, 16, dtype=torch.bool)
    counts[:, 5:9] = False
    spoiled = torch.where(counts, photo, 1 - noise(3))
    torch.testing.assert_close(in_colours_of(spoiled, render, counts), photo)


def test_a_render_of_one_colour_gets_the_photos_mean() -> None:
    photo = noise(0)
    for value in (0.0, 0.3):
        found = in_colours_of(photo, torch.full_like(photo, value))
        torch.testing.assert_close(found, photo.mean(dim=(1, 2), keepdim=True).expand_as(photo))
