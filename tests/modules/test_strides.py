"""Kernels whose taps lie several pixels apart: sides, strides, reach and the moments of the blur they make."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bags.errors import SettingError
from bags.modules import blur_estimate
from bags.modules.bpn import Proposal
from bags.modules.kernel_sizes import KernelSizes
from bags.ops.enlarging import enlarged
from bags.ops.per_pixel_conv import per_pixel_conv_reference
from bags.ops.smoothing import smoothed
from bags.ops.windows import Window
from bags.settings import BPNSettings
from bags.types import Camera


@pytest.mark.parametrize(
    "width, scales, strides",
    [
        (2400, (5, 9, 17, 17), (1, 1, 2, 4)),
        (4000, (5, 9, 17, 17), (1, 1, 2, 4)),
        (1200, (5, 7, 17, 17), (1, 1, 1, 2)),  # what is 17 at stride 4 becomes 17 at stride 2
        (600, (5, 5, 7, 17), (1, 1, 1, 1)),
        (300, (5, 5, 5, 9), (1, 1, 1, 1)),
    ],
)
def test_strides_shrink_before_kernels_do(width: int, scales: tuple[int, ...], strides: tuple[int, ...]) -> None:
    settings = BPNSettings(kernels=(5, 9, 17, 17), strides=(1, 1, 2, 4), fit_to_width=2400)
    sizes = KernelSizes.fitted(settings, width)
    assert (sizes.scales, sizes.strides, sizes.second) == (scales, strides, None)
    assert sizes.stride(3) == sizes.stride("single") == strides[-1]


def test_strides_default_to_one_and_are_checked() -> None:
    assert KernelSizes.fitted(BPNSettings(), 600).strides == (1, 1, 1)
    for bad in ((1, 2), (1, 0, 2)):
        with pytest.raises(SettingError, match=r"model\.bpn\.strides"):
            BPNSettings(strides=bad)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_blurred_part_is_smoothed_and_the_rest_is_not(stride: int) -> None:
    torch.manual_seed(stride)
    proposal = Proposal(torch.randn(4, 12, 15), torch.randn(9, 4), torch.rand(12, 15), stride=stride)
    around = proposal.reach
    assert around == {1: 1, 2: 3, 3: 4}[stride]
    image = torch.rand(3, 12 + 2 * around, 15 + 2 * around)
    inside = image[:, around : around + 12, around : around + 15]
    wide = smoothed(image.double(), proposal.stride)
    expected = per_pixel_conv_reference(
        wide,
        proposal.features.double(),
        proposal.head.double(),
        proposal.mask.double(),
        proposal.stride,
        inside.double(),
    )
    torch.testing.assert_close(proposal.blur(image).double(), expected, rtol=0, atol=1e-5)  # worst seen 4e-7
    shut = Proposal(proposal.features, proposal.head, torch.zeros(12, 15), stride=proposal.stride)
    torch.testing.assert_close(shut.blur(image), inside)


def test_an_enlarged_proposal_is_the_same_blur_of_a_finer_image() -> None:
    """Blurring a smooth image at three times the resolution is blurring it, then enlarging; inside, to rounding."""
    torch.manual_seed(0)
    features = torch.randn(4, 1, 1).expand(-1, 10, 12).contiguous()
    coarse = Proposal(features, torch.randn(9, 4), torch.full((10, 12), 0.6))
    camera = Camera(torch.eye(3), torch.zeros(3), 30.0, 30.0, 36, 30).cropped(6, 3, 18, 21)
    fine = coarse.enlarged(3, camera)
    assert (fine.mask.shape, fine.stride, fine.kernel_size) == ((21, 18), 3, 3)

    def plane(columns: Tensor, rows: Tensor) -> Tensor:
        return (0.02 * columns + 0.01 * rows[:, None]).expand(3, -1, -1)

    around = fine.reach
    whole = fine.blur(plane(torch.arange(6 - around, 24 + around) * 1.0, torch.arange(3 - around, 24 + around) * 1.0))
    centres = [(torch.arange(-1, size + 1) + 0.5) * 3 - 0.5 for size in (12, 10)]
    expected = enlarged(coarse.blur(plane(*centres)), 3, Window(6, 3, 18, 21))
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-5)  # worst seen 2e-7


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_moments_are_those_of_the_blurred_point(stride: int) -> None:
    torch.manual_seed(stride)
    features, head = torch.randn(4, 1, 1).expand(-1, 31, 31), torch.randn(9, 4)
    proposal = Proposal(features, head, torch.full((31, 31), 0.7), stride=stride)
    point = torch.zeros(3, 31 + 2 * proposal.reach, 31 + 2 * proposal.reach)
    point[:, 15 + proposal.reach, 15 + proposal.reach] = 1
    spread = proposal.blur(point)[0].double()  # the kernel, flipped
    y, x = torch.meshgrid(*(torch.arange(31, dtype=torch.float64) - 15,) * 2, indexing="ij")
    mean_x, mean_y = -(spread * x).sum(), -(spread * y).sum()
    expected = torch.stack(
        [
            (spread * x * x).sum() - mean_x**2,
            (spread * x * y).sum() - mean_x * mean_y,
            (spread * y * y).sum() - mean_y**2,
        ]
    )
    mean, covariance = proposal.moments()
    torch.testing.assert_close(mean[:, 15, 15].double(), torch.stack([mean_x, mean_y]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(covariance[:, 15, 15].double(), expected, rtol=1e-4, atol=1e-4)


def test_blur_of_a_large_view_is_estimated_from_some_of_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    smooth = torch.linspace(0, 1, 64).expand(4, 48, 64) + torch.linspace(0, 2, 48)[:, None]
    proposal = Proposal(smooth, torch.randn(25, 4), torch.full((48, 64), 0.7), stride=2)
    sharp, depth = torch.rand(3, 48, 64), torch.rand(48, 64)
    whole = blur_estimate.estimate_blur(proposal, sharp, depth)
    monkeypatch.setattr(blur_estimate, "PIXELS", 700)
    some = blur_estimate.estimate_blur(proposal, sharp, depth)
    assert some.mask == whole.mask and some.spread != whole.spread
    assert some.spread == pytest.approx(whole.spread, rel=0.05)
