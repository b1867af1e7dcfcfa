"""A coarse image on a finer grid."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from bags.ops.enlarging import enlarged
from bags.ops.windows import Window


def reference(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Bilinear between the centres of the coarse pixels, one axis after the other, straight from the definition."""
    for axis in (1, 2):
        places = ((torch.arange(image.shape[axis] * factor, dtype=image.dtype) + 0.5) / factor - 0.5).clamp(
            0, image.shape[axis] - 1
        )
        low = places.floor().long()
        high = (low + 1).clamp_max(image.shape[axis] - 1)
        part = (places - low).reshape((-1, 1) if axis == 1 else (-1,))
        image = image.index_select(axis, low) * (1 - part) + image.index_select(axis, high) * part
    return image


def test_blur_of_a_part_equals_that_part_of_the_whole(subtests: pytest.Subtests) -> None:
    for factor, part in product(
        [1, 2, 3, 4, 5], [(0, 0, 7, 9), (0, 0, 28, 20), (5, 3, 2, 1), (4, 8, 16, 12), (3, 2, 25, 18)]
    ):
        with subtests.test(factor=factor, part=part):
            window = Window(*part)
            image = torch.rand(2, -(-20 // factor), -(-28 // factor), dtype=torch.float64, requires_grad=True)
            ours, whole = enlarged(image, factor, window), reference(image, factor)
            torch.testing.assert_close(ours, window.of(whole), rtol=0, atol=1e-14)  # worst seen 4e-16
            weights = torch.rand_like(ours)
            for a, b in zip(
                torch.autograd.grad((ours * weights).sum(), image),
                torch.autograd.grad((window.of(whole) * weights).sum(), image),
                strict=True,
            ):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
