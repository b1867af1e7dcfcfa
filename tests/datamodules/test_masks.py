"""What a mask hides counts neither for the loss nor in metrics, and leaves no trace in the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.pyramid import ImagePyramid
from bags.datamodules.view_loader import view_at
from bags.errors import DataError
from bags.modules.losses import training_loss
from bags.modules.metrics import ImageMetrics
from bags.ops.psnr import psnr
from bags.settings import DatasetSettings, LossSettings, MetricsSettings
from bags.types import ViewBatch
from tests.rendering.random_splats import random_camera

SIZE = (48, 32)


def parsed(root):
    return parse_colmap(DatasetSettings(parser="colmap", root=str(root), hold=None))


def write_mask(root, pixels, name="a.png.png"):
    (root / "masks").mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(root / "masks" / name)


def half():
    """The left half hidden."""
    pixels = np.full(SIZE[::-1], 255)
    pixels[:, : SIZE[0] // 2] = 0
    return pixels


def test_a_mask_goes_with_its_photo(colmap_scene):
    root = colmap_scene()
    write_mask(root, half())
    pyramid = ImagePyramid(parsed(root).train, DatasetSettings(), (1, 2))
    masked, whole = view_at(pyramid, 0, 0), view_at(pyramid, 1, 0)
    assert (masked.name, whole.name) == ("a.png", "b.png") and whole.counts is None
    assert masked.image.shape == (3, 32, 48) and masked.counts.shape == (32, 48)
    assert not masked.counts[:, :24].any() and masked.counts[:, 24:].all()
    part = masked.cropped(20, 4, 10, 8)
    assert part.counts.shape == (8, 10) and part.counts[:, 4:].all() and not part.counts[:, :4].any()
    assert view_at(pyramid, 0, 1).counts.sum() == 12 * 16


def test_a_coarse_pixel_counts_where_all_of_it_does(colmap_scene):
    root = colmap_scene()
    pixels = np.full(SIZE[::-1], 255)
    pixels[5, 7] = 0
    write_mask(root, pixels)
    counts = view_at(ImagePyramid(parsed(root).train, DatasetSettings(), (1, 2)), 0, 1).counts
    assert (~counts).nonzero().tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((16, 24), 255), r"masks/a\.png\.png: the mask has 24 x 16 pixels, but its photo a\.png 48 x 32"),
        (np.zeros(SIZE[::-1]), r"masks/a\.png\.png: the mask hides all of a\.png; make the parts to use white"),
        (np.full(SIZE[::-1], 127), r"the mask hides all"),
    ],
)
def test_invalid_masks_are_refused(colmap_scene, pixels, message):
    root = colmap_scene()
    write_mask(root, pixels)
    with pytest.raises(DataError, match=message):
        ImagePyramid(parsed(root).train, DatasetSettings(), (1,))


def test_an_empty_file(colmap_scene):
    root = colmap_scene()
    write_mask(root, half())
    (root / "masks/a.png.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"masks/a\.png\.png: cannot be read as an image"):
        ImagePyramid(parsed(root).train, DatasetSettings(), (1,))


def test_masks_that_belong_to_no_photo(colmap_scene):
    root = colmap_scene()
    write_mask(root, half(), "a_mask.png")
    with pytest.raises(DataError, match=r"masks: none of its 1 images is named after a photo: .* a\.png\.png"):
        parsed(root)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.ones(32, 48, dtype=torch.bool)
    counts[8:20, 10:30] = False
    return ViewBatch(random_camera(48, 32), torch.rand(3, 32, 48, generator=generator), 0, "a", counts=counts)


def loss_and_gradient(view, prediction):
    prediction = prediction.clone().requires_grad_()
    terms = training_loss(
        LossSettings(edges=1.0), *view.against(prediction), None, prediction, torch.ones(32, 48), True
    )
    loss = sum(terms.values())
    loss.backward()
    return loss.detach(), prediction.grad


def test_masked_pixels_change_neither_loss_nor_gradient():
    view, prediction = batch(), torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(5))
    loss, gradient = loss_and_gradient(view, prediction)
    other = replace(view, image=torch.where(view.counts, view.image, 1 - view.image))
    loss_other, gradient_other = loss_and_gradient(other, prediction)
    assert loss == loss_other and torch.equal(gradient, gradient_other)
    assert not gradient[:, ~view.counts].any() and gradient[:, view.counts].all()
    plain, _ = loss_and_gradient(replace(view, counts=torch.ones_like(view.counts)), prediction)
    torch.testing.assert_close(plain, loss_and_gradient(replace(view, counts=None), prediction)[0])


@pytest.mark.parametrize("protocol", ["deblur_nerf", "mip_splatting"])
def test_metrics_cover_unmasked_pixels_only(protocol):
    judge = ImageMetrics(MetricsSettings(protocol=protocol, lpips=False))
    view = batch()
    render = (view.image + 0.1).where(view.counts, torch.zeros(()))
    found = judge(render, view.image, view.counts)
    seen = render.clamp(0, 1)[:, view.counts] - view.image[:, view.counts]
    assert found["psnr"] == pytest.approx(float(-10 * seen.square().mean().log10()), abs=1e-4)
    assert psnr(render.clamp(0, 1), view.image, view.counts) == pytest.approx(found["psnr"], abs=1e-4)
    hidden = replace(view, image=torch.where(view.counts, view.image, torch.rand(3, 32, 48)))
    assert judge(render, hidden.image, view.counts) == found
    assert judge(view.image, view.image, view.counts)["ssim"] == pytest.approx(1)
    filled = judge(render, torch.where(view.counts, view.image, render.clamp(0, 1)))["ssim"]
    part = float(view.counts.float().mean())
    assert found["ssim"] == pytest.approx(1 - (1 - filled) / part) and filled < 1
    everything = torch.ones_like(view.counts)
    assert judge(render, view.image, everything) == pytest.approx(judge(render, view.image))
