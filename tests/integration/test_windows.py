"""Training on windows of the views: densification in the whole photo's units, showing whole views window by window."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bags.callbacks import Densify
from bags.modules.bags_module import BagsModule
from bags.tasks.setup import build
from bags.types import ViewBatch
from tests.integration.test_training import assert_same, run, settings_of, state_of

WINDOWED = ("dataset.synthetic.width=96", "dataset.synthetic.height=64", "dataset.window=32")


def test_a_windowed_run_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = (settings_of(tmp_path, *WINDOWED, f"name={name}") for name in ("whole", "broken"))
    run(whole)
    run(broken, stop_at=33, monkeypatch=monkeypatch)
    run(settings_of(tmp_path, *WINDOWED, "name=broken", "ckpt_path=last"))
    assert_same(state_of(broken)["state_dict"], state_of(whole)["state_dict"])


def made(tmp_path: Path, *overrides: str) -> tuple[BagsModule, ViewBatch]:
    datamodule, module = build(settings_of(tmp_path, *WINDOWED, "model.bpn.bfloat16=false", *overrides))
    module.gaussians.update_filter(datamodule.cameras(2))
    return module, next(iter(datamodule.train_views_dataloader()))


def test_whole_views_are_shown_window_by_window(tmp_path: Path) -> None:
    # Without the render's features, whose normalisation is each window's own, windows change nothing.
    module, batch = made(tmp_path, "model.bpn.use_rgbd=false")
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


def test_a_windows_statistics_are_in_the_whole_photos_units(tmp_path: Path) -> None:
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
    x, y = output.render.means2d.detach().T
    reach = output.render.radii + 16  # the tiles that a Gaussian touches
    inside = (output.render.radii > 0) & (x - reach > 32) & (x + reach < 80) & (y - reach > 16) & (y + reach < 64)
    assert inside.sum() >= 3 and (whole[inside] > 0).sum() >= 3
    torch.testing.assert_close(window[inside], whole[inside], rtol=1e-3, atol=1e-9)
