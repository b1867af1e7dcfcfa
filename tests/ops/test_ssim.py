from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from bags.ops.ssim import l1_ssim, ssim
from bags.ops.ssim_reference import ssim_reference, window

SHAPES = [(3, 40, 57), (3, 8, 9), (3, 5, 4), (1, 30, 64)]


def pair(shape, seed, flat=False, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    photo = torch.rand(shape, generator=generator, dtype=dtype)
    if flat:  # smooth and bright: variances are differences of nearly equal numbers
        photo = 0.9 + 0.01 * photo
    image = photo + 0.1 * torch.randn(shape, generator=generator, dtype=dtype)
    return image, photo


def test_window():
    taps = window()
    assert taps.sum() == pytest.approx(1)
    assert taps[5] / taps[8] == pytest.approx(np.exp(9 / 4.5))


def test_reference_is_the_definition(subtests):
    for shape in SHAPES:
        with subtests.test(shape=shape):
            image, photo = (tensor.numpy() for tensor in pair(shape, 0))

            def blur(array):
                for axis in (1, 2):
                    array = correlate1d(array, window().numpy(), axis=axis, mode="constant")
                return array

            mx, my = blur(image), blur(photo)
            vx, vy, cov = blur(image**2) - mx**2, blur(photo**2) - my**2, blur(image * photo) - mx * my
            maps = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
            assert float(ssim_reference(*pair(shape, 0))) == pytest.approx(maps.mean(), abs=1e-12)


def test_fast_against_reference(subtests):
    for shape, flat, seed in product(SHAPES, [False, True], range(3)):
        with subtests.test(shape=shape, flat=flat, seed=seed):
            image, photo = pair(shape, seed, flat)
            image.requires_grad_()
            fast_image = image.detach().float().requires_grad_()
            value, expected = ssim(fast_image, photo.float()), ssim_reference(image, photo)
            (3 * value).backward()
            (3 * expected).backward()
            # Worst of 160 draws each: 1.0e-7 in value and 1.5e-6 of the largest gradient; flat 1.1e-6 and 9.2e-5.
            assert abs(value.item() - expected.item()) < (5e-6 if flat else 1e-6)
            error = (fast_image.grad - image.grad).abs().max() / image.grad.abs().max()
            assert error < (2e-4 if flat else 1e-5)


def test_non_finite_values_propagate(subtests):
    """As in any sum; whoever guards a training looks at the loss."""
    for value in [np.nan, np.inf]:
        with subtests.test(value=value):
            image, photo = pair((3, 40, 57), 0, dtype=torch.float32)
            image[1, 20, 30] = value
            image.requires_grad_()
            result = ssim(image, photo)
            result.backward()
            assert not torch.isfinite(result)
            assert not torch.isfinite(image.grad[1, 20, 30]) and torch.isfinite(image.grad[0]).all()


def test_reference_gradient_by_differences():
    image, photo = pair((1, 6, 7), 0)
    assert torch.autograd.gradcheck(lambda x: ssim_reference(x, photo), (image.requires_grad_(),))


def test_equal_images():
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert ssim(image, image).item() == pytest.approx(1, abs=1e-5)
    assert l1_ssim(image, image, 0.2).item() == pytest.approx(0, abs=1e-5)


def test_loss(subtests):
    for weight in [0.0, 0.2, 1.0]:
        with subtests.test(weight=weight):
            image, photo = (tensor.float() for tensor in pair((3, 20, 30), 1))
            image.requires_grad_()
            photo.requires_grad_()
            loss = l1_ssim(image, photo.detach(), weight)
            expected = (1 - weight) * (image - photo).abs().mean() + weight * (1 - ssim_reference(image, photo))
            torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
            loss.backward()
            assert image.grad.abs().max() > 0
            assert photo.grad is None


def test_views_that_are_not_contiguous():
    image, photo = (tensor.float() for tensor in pair((3, 30, 40), 2))
    crop = image[:, 3:23, 5:35].requires_grad_()
    torch.testing.assert_close(
        ssim(crop, photo[:, 3:23, 5:35]), ssim_reference(crop, photo[:, 3:23, 5:35]), rtol=1e-5, atol=1e-6
    )


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="the same shape"):
        ssim(torch.zeros(3, 8, 8), torch.zeros(3, 8, 9))
