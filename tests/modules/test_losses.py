"""The terms of the training loss, each by its formula (docs/method.md section 4)."""

from __future__ import annotations

import pytest
import torch

from bags.modules.losses import regularisers, training_loss
from bags.ops.ssim_reference import ssim_reference
from bags.settings import LossSettings
from tests.densification.test_densification import some_gaussians


def test_terms() -> None:
    draw = torch.Generator().manual_seed(0)
    prediction, photo, sharp = torch.rand(3, 3, 20, 24, generator=draw)
    mask, depth = torch.rand(20, 24, generator=draw), 5 + 3 * torch.rand(20, 24, generator=draw)

    def variation(image: torch.Tensor) -> float:
        return float(2 * (image.diff(dim=-1).square().mean() + image.diff(dim=-2).square().mean()))

    terms = training_loss(
        LossSettings(ssim=0.2, edges=0.6, mask=0.3, depth_tv=0.4, rgb_tv=0.5),
        prediction,
        photo,
        mask,
        sharp,
        depth,
        True,
    )
    even = (depth - depth.min()) / (depth.max() - depth.min())
    expected = {
        "photo": 0.8 * (prediction - photo).abs().mean() + 0.2 * (1 - ssim_reference(prediction, photo)),
        "edges": 0.6 * sum((prediction.diff(dim=axis) - photo.diff(dim=axis)).abs().mean() for axis in (1, 2)),
        "mask": 0.3 * mask.mean(),
        "depth_tv": 0.4 * variation(even),
        "rgb_tv": 0.5 * variation(sharp),
    }
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {name: float(term) for name, term in expected.items()}, rel=1e-5
    )


def test_terms_of_no_weight_are_left_out() -> None:
    image = torch.rand(3, 20, 24)
    settings = LossSettings(mask=0, depth_tv=0, rgb_tv=0)
    assert set(training_loss(settings, image, image, image[0], image, image[0], True)) == {"photo"}
    without = LossSettings(mask=0.1, edges=1.0)  # without masks and without blur
    assert set(training_loss(without, image, image, None, image, image[0], False)) == {"photo"}


def test_regularisers() -> None:
    gaussians = some_gaussians()
    assert regularisers(LossSettings(), gaussians) == {}
    with torch.no_grad():
        terms = regularisers(LossSettings(opacity=0.2, scale=0.3), gaussians)
    assert terms.keys() == {"opacity", "scale"}
    assert float(terms["opacity"]) == pytest.approx(0.2 * float(gaussians.opacity_logits.detach().sigmoid().mean()))
    assert float(terms["scale"]) == pytest.approx(0.3 * float(gaussians.log_scales.detach().exp().mean()))
