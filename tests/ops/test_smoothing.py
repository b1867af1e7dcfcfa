from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode

from bags.ops.sharpness import laplacian_variance
from bags.ops.smoothing import box_taps, reach, smoothed, smoothing_radius, smoothing_variance


def test_every_pixel_becomes_the_mean_weighted_by_the_box(subtests: pytest.Subtests) -> None:
    for stride in [1, 2, 3, 4, 5, 8]:
        with subtests.test(stride=stride):
            image = torch.rand(3, 20, 23, dtype=torch.float64)
            row = box_taps(stride, torch.float64)[None, None, None]
            expected = conv2d(conv2d(image[:, None], row), row.mT)[:, 0]
            torch.testing.assert_close(smoothed(image, stride), expected, rtol=1e-12, atol=1e-12)


class NoConvolution(TorchDispatchMode):
    """cuDNN would round its factors to TF32: an error of 5e-4."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "convolution" not in func.overloadpacket.__name__
        return func(*args, **(kwargs or {}))


def test_smoothing_and_sharpness_are_no_convolutions() -> None:
    image = torch.rand(3, 20, 23, requires_grad=True)
    with NoConvolution():
        smoothed(image, 4).sum().backward()
        found = laplacian_variance(image.detach())
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    expected = conv2d(255 * image.detach().mean(dim=0)[None, None], kernel).var(correction=0)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_taps_next_to_each_other_cover_everything_once(subtests: pytest.Subtests) -> None:
    for stride in [1, 2, 3, 4, 7]:
        with subtests.test(stride=stride):
            radius = smoothing_radius(stride)
            taps = box_taps(stride, torch.float64)
            assert len(taps) == 2 * radius + 1
            cover = torch.zeros(12 * stride)
            for start in range(0, 11 * stride, stride):
                cover[start : start + len(taps)] += taps.float()
            torch.testing.assert_close(cover[2 * stride : 9 * stride], torch.full((7 * stride,), 1 / stride))
            image = torch.rand(2, 30, 30)
            assert smoothed(image, stride).shape == (2, 30 - 2 * radius, 30 - 2 * radius)
            assert smoothing_variance(stride) == pytest.approx((stride**2 - (1 if stride % 2 else -2)) / 12)


def test_reach() -> None:
    assert (reach(17, 1), reach(17, 4), reach(1, 1), reach(5, 3)) == (8, 34, 0, 7)
