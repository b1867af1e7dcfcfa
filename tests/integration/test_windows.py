"""Training on windows of the views: densification in the whole photo's units, showing whole views window by window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bags.callbacks import Densify
from bags.modules.bags_module import BagsModule
from bags.modules.carry_over import carry_over
from bags.run.build import build
from bags.run.start import decide
from bags.types import ViewBatch
from tests.integration.test_training import settings_of

WINDOWED = ("dataset.synthetic.width=96", "dataset.synthetic.height=64", "dataset.window=32")
DENSE = ("model.bpn.kernel_spacing=1", "model.bpn.rgbd_spacing=1")  # a kernel at every pixel, as published


def made(tmp_path: Path, *overrides: str) -> tuple[BagsModule, ViewBatch]:
    datamodule, module = build(decide(settings_of(tmp_path, *WINDOWED, "model.bpn.bfloat16=false", *overrides)))
    module.gaussians.update_filter(datamodule.cameras(2))
    return module, next(iter(datamodule.train_views_dataloader()))


def test_whole_views_are_shown_window_by_window(tmp_path: Path) -> None:
    # Without the render's features, whose normalisation is each window's own, windows change nothing.
    module, batch = made(tmp_path, "model.bpn.use_rgbd=false", *DENSE)
    phase = module.schedule.at(40)
    shown = module.explain_whole(batch, phase)
    with torch.no_grad():
        whole = module.explain(batch, phase)
    assert shown.proposal is not None and whole.proposal is not None
    for a, b in (
        (shown.sharp, whole.sharp),
        (shown.depth, whole.depth),
        (shown.prediction, whole.prediction),
        (shown.proposal.mask, whole.proposal.mask),
        (shown.proposal.features, whole.proposal.features),
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5)  # worst seen 4e-7
    assert shown.prediction.shape == batch.image.shape == (3, 64, 96)


def test_on_cells_windows_propose_what_the_whole_view_does_but_for_their_borders(tmp_path: Path) -> None:
    """Nodes are the same; beyond a window's last ones kernels are level, where the whole view has more."""
    module, batch = made(tmp_path, "model.bpn.use_rgbd=false")
    phase = module.schedule.at(40)
    shown = module.explain_whole(batch, phase).proposal
    with torch.no_grad():
        whole = module.explain(batch, phase).proposal
    assert shown is not None and whole is not None and whole.spacing == 4
    torch.testing.assert_close(shown.features, whole.features, rtol=0, atol=2e-5)
    inner = (..., slice(2, 30), slice(2, 30))  # of the first window
    torch.testing.assert_close(shown.mask[inner], whole.mask[inner], rtol=0, atol=2e-5)
    assert not torch.equal(shown.mask, whole.mask)


def test_on_cells_a_part_sees_the_whole_view_s_nodes_where_the_taps_lie_apart(tmp_path: Path) -> None:
    scales = ("model.bpn.kernels=[3,5,5]", "model.bpn.strides=[1,1,2]", "model.bpn.fit_to_width=null")
    module, batch = made(tmp_path, *scales)
    phase = module.schedule.at(40)
    with torch.no_grad():
        whole, part = (
            module.explain(batch, phase).proposal,
            module.explain(batch.cropped(16, 16, 33, 40), phase).proposal,
        )
    shown = module.explain_whole(batch, phase).proposal
    assert whole is not None and part is not None and shown is not None
    assert (whole.spacing, part.corner, shown.corner) == (8, (16, 16), (0, 0))
    rows, columns = torch.tensor([0, 20, 39]), torch.tensor([32, 5, 0])
    expected = whole.kernels_at(rows + 16, columns + 16)
    torch.testing.assert_close(part.kernels_at(rows, columns), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shown.kernels_at(rows + 16, columns + 16), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(part.mask, whole.mask[16:56, 16:49], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(part.moments()[1], whole.moments()[1][:, 16:56, 16:49], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_strided_window_proposes_the_same_as_the_whole_view(bfloat16: bool, tmp_path: Path) -> None:
    """The network looks at the whole view then; at its resolution the head before proposes the very same."""
    scales = ("model.bpn.kernels=[3,5,5]", "model.bpn.strides=[1,1,2]", "model.bpn.fit_to_width=null")
    module, batch = made(tmp_path, *scales, *DENSE, f"model.bpn.bfloat16={bfloat16}")
    assert module.bpn is not None
    carry_over(module.bpn, 1, 2, 1.0, module.configure_optimizers())
    phase = module.schedule.at(40)
    assert module.kernels.sizes.stride(module.kernels.head(phase)) == 2
    shown = module.explain_whole(batch, phase)
    with torch.no_grad():
        whole, part = module.explain(batch, phase), module.explain(batch.cropped(16, 16, 33, 40), phase)
        small = batch.camera.resized(48, 32)
        render = module.render(small)
        before = module.bpn(batch.index, 1, render.rgb, render.depth)
    assert shown.proposal is not None and whole.proposal is not None and part.proposal is not None
    finer, rows_columns = before.enlarged(2, batch.camera), (..., slice(16, 56), slice(16, 49))
    near = {"rtol": 1e-2 if bfloat16 else 1e-5, "atol": 1e-6}  # interpolation rounds as vectors happen to begin
    for ours, theirs in ((shown.proposal, whole.proposal), (whole.proposal, finer)):
        torch.testing.assert_close(ours.mask, theirs.mask, **near)
        torch.testing.assert_close(ours.features, theirs.features, **near)
    torch.testing.assert_close(part.proposal.features, whole.proposal.features[rows_columns], **near)
    torch.testing.assert_close(part.proposal.mask, whole.proposal.mask[rows_columns], **near)


def test_window_statistics_are_in_units_of_the_whole_photo(tmp_path: Path) -> None:
    """A Gaussian well inside a window gets from it, within a photo of zero loss elsewhere, what the whole gives."""
    module, batch = made(tmp_path, "model.blur=false", "loss.ssim=0.0")
    module.gaussians.log_scales.data -= 2  # small enough to lie within a window
    sums = []
    for part in (batch, batch.cropped(32, 16, 48, 48)):
        module.gaussians.gradient_sum.zero_()
        module.gaussians.gradient_count.zero_()
        view = ViewBatch(part.camera, part.image, part.index, part.name, step=1)
        module.training_step(view, 0).backward()
        densify = Densify()
        densify.on_after_backward(SimpleNamespace(accumulate_grad_batches=1), module)  # type: ignore[arg-type]
        densify.on_before_optimizer_step(None, module, None)  # type: ignore[arg-type]
        sums.append((module.gaussians.gradient_sum.clone(), module.output))
    (whole, output), (window, _) = sums
    assert output is not None
    x, y = output.renders[0].means2d.detach().T
    reach = output.renders[0].radii + 16  # the tiles that a Gaussian touches
    inside = (output.renders[0].radii > 0) & (x - reach > 32) & (x + reach < 80) & (y - reach > 16) & (y + reach < 64)
    assert inside.sum() >= 3 and (whole[inside] > 0).sum() >= 3
    torch.testing.assert_close(window[inside], whole[inside], rtol=1e-3, atol=1e-9)
    # Per NDC unit: half the photo's 96 pixels across and half its 64 down.
    gradients = output.renders[0].means2d.grad
    assert gradients is not None
    expected = (gradients * torch.tensor([48.0, 32.0])).norm(dim=1)
    torch.testing.assert_close(whole, torch.where(output.renders[0].radii > 0, expected, 0))


@pytest.mark.parametrize("freezes", [False, True])
@pytest.mark.parametrize("step", [6, 40])
def test_a_frozen_proposal_leaves_learning_to_the_gaussians_where_taps_lie_apart(
    step: int, freezes: bool, tmp_path: Path
) -> None:
    scales = ("model.bpn.kernels=[3,5,5]", "model.bpn.strides=[1,1,2]", "model.bpn.fit_to_width=null")
    module, batch = made(tmp_path, *scales, f"model.bpn.freeze_strided={freezes}")
    assert module.bpn is not None
    module.training_step(replace(batch, step=step), 0).backward()
    strided = module.kernels.sizes.stride(module.kernels.head(module.schedule.at(step))) > 1
    assert strided == (step == 40)
    assert all(weight.grad is None for weight in module.bpn.parameters()) == (freezes and strided)
    assert module.gaussians.sh_dc.grad is not None and module.gaussians.sh_dc.grad.abs().sum() > 0
    assert module.output is not None and module.output.proposal is not None
