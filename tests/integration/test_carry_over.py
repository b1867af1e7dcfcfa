"""What goes over from scale to scale: at the first step of each, once, and exact on resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bags.callbacks import Filter3D
from bags.callbacks import carry_over as callback
from bags.run.build import build
from bags.run.start import decide
from tests.integration.test_training import resumed_and_whole, run, settings_of, state_of

# Scales begin at steps 12 and 24. At the second the taps' distance in the photo halves, at the third it stays.
CARRIED = (
    "model.bpn.carry_over=true", "model.bpn.kernels=[3,5,5]", "model.bpn.strides=[1,1,2]",
    "model.bpn.fit_to_width=null", "schedule.scale_starts=[1,9000,18000]", "schedule.ms_steps=24000",
    "schedule.sharp_steps=0", "model.gaussians.absorb_filter=true", "output.checkpoint_steps=[23,24]",
)  # fmt: skip


def test_a_run_carries_each_scale_over_once_and_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped just before a scale begins, and just after."""
    calls, real = [], callback.carry_over

    def told(bpn: Any, before: int, after: int, ratio: float, optimizer: Any) -> None:
        calls.append((before, after, ratio))
        real(bpn, before, after, ratio, optimizer)

    monkeypatch.setattr(callback, "carry_over", told)
    _, whole = resumed_and_whole(tmp_path, CARRIED, (23, 24), monkeypatch)
    assert calls == 2 * [(0, 1, 0.5), (1, 2, 1.0)]  # by each of the two runs
    before, after = (state_of(whole, f"step_{step}.ckpt")["state_dict"] for step in (23, 24))
    heads = [f"bpn.scales.kernel_heads.{level}.weight" for level in (1, 2)]
    old, new = before[heads[0]], after[heads[1]]
    assert (new - old).abs().max() < 0.02 < (before[heads[1]] - old).abs().max()  # a step away from what was copied


def test_as_published_every_head_starts_from_random_weights(tmp_path: Path) -> None:
    published = settings_of(tmp_path, *CARRIED, "model.bpn.carry_over=false")
    run(published)
    layer = state_of(published, "step_24.ckpt")["state_dict"]["bpn.scales.layers.2.weight"]
    assert (layer - torch.eye(len(layer))).abs().max() > 0.5


@pytest.mark.parametrize("absorbs", [True, False])
def test_gaussians_are_drawn_as_before_when_the_resolution_grows(absorbs: bool, tmp_path: Path) -> None:
    datamodule, module = build(decide(settings_of(tmp_path, *CARRIED, f"model.gaussians.absorb_filter={absorbs}")))
    trainer, gaussians = SimpleNamespace(datamodule=datamodule), module.gaussians
    Filter3D().before_step(trainer, module, 1)  # type: ignore[arg-type]
    before, sigma = gaussians.splats().scales, gaussians.filter_sigma
    Filter3D().before_step(trainer, module, 12)  # type: ignore[arg-type]
    torch.testing.assert_close(gaussians.filter_sigma, sigma / 2, rtol=1e-4, atol=0)
    assert torch.allclose(gaussians.splats().scales, before, rtol=1e-5, atol=0) == absorbs
