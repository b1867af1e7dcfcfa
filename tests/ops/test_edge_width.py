"""How wide a photo's edges are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, uniform_filter1d
from torch import Tensor

from bags.modules.auto_blur import SHARP_EDGES
from bags.ops.edge_width import edge_width


def picture(seed: int = 0, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Straight-edged shapes at all angles, antialiased as a sensor would."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:480, 0:640] / 4
    grey = np.full(x.shape, 0.5)
    for _ in range(40):
        angle, (cx, cy), size = rng.uniform(0, np.pi), rng.uniform(10, (150, 110)), rng.uniform(8, 20)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        grey[(abs(u) < size) & (abs(v) < size)] = rng.uniform()
    return low + (high - low) * grey.reshape(120, 4, 160, 4).mean((1, 3))


def photo(grey: np.ndarray) -> Tensor:
    return torch.tensor(grey, dtype=torch.float32).expand(3, *grey.shape)


def test_a_sharp_photo_has_edges_one_pixel_wide_whatever_its_contrast() -> None:
    for seed in range(3):
        assert edge_width(photo(picture(seed))) == pytest.approx(0.78, abs=0.04)
        assert edge_width(photo(picture(seed, 0.4, 0.6))) == pytest.approx(0.78, abs=0.04)


def test_a_step_counts_as_sharp_and_one_blurred_by_a_pixel_does_not() -> None:
    """Central differences take a step for a ramp over two pixels: ``2 / sqrt(2 pi)``, 0.8."""
    for seed in range(3):
        steps = np.repeat(np.repeat(np.random.default_rng(seed).integers(0, 2, (8, 10)), 16, axis=0), 16, axis=1)
        assert edge_width(photo(steps.astype(float))) == pytest.approx(np.sqrt(2 / np.pi), abs=0.005)
        assert np.sqrt(2 / np.pi) < SHARP_EDGES
        for blurred in (gaussian_filter(steps.astype(float), 1.0), gaussian_filter(picture(seed), 1.0)):
            width = edge_width(photo(blurred))
            assert width is not None and width > SHARP_EDGES


@pytest.mark.parametrize("sigma", [1.2, 1.6, 2.2])
def test_a_blurred_photo_has_edges_as_wide_as_its_blur(sigma: float) -> None:
    found = edge_width(photo(gaussian_filter(picture(1), sigma)))
    assert found == pytest.approx(sigma, rel=0.35)
    assert found > 0.95


def test_motion_counts_although_it_spares_the_edges_along_it() -> None:
    assert edge_width(photo(uniform_filter1d(picture(2), 5, axis=1))) > 1.0


def test_defocus_counts_although_it_spares_what_is_in_focus() -> None:
    for seed in range(3):
        grey = picture(seed)
        grey[80:] = gaussian_filter(grey, 1.5)[80:]
        found = edge_width(photo(grey))
        assert found is not None
        assert found > 1.0


def test_noise_makes_no_photo_sharp() -> None:
    noisy = gaussian_filter(picture(3), 2.0) + np.random.default_rng(0).normal(0, 0.02, (120, 160))
    assert edge_width(photo(noisy)) > 1.0


@pytest.mark.parametrize("shape", [(120, 160), (8, 8), (1, 1)])
def test_an_even_photo_tells_nothing(shape: tuple[int, int]) -> None:
    assert edge_width(photo(np.full(shape, 0.5))) is None
