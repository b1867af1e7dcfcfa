"""Which precision a machine is fast in, and what a run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import bags.ops.precision as precision
from bags.errors import SettingError
from bags.modules.bpn import BPN
from bags.ops.precision import has_fast_bfloat16, instruction_sets
from bags.run.build import build, restore
from bags.run.checkpoint_io import Saved
from bags.run.start import decide
from bags.settings import BPNSettings
from bags.tasks.train import run
from tests.integration.test_training import settings_of

TINY = ("scene=demo", "dataset.synthetic.width=32", "dataset.synthetic.height=32", "dataset.synthetic.train_views=2")
TINY += ("dataset.synthetic.test_views=1", "dataset.synthetic.samples=4", "metrics.lpips=false", "output.report=false")


def pretend(monkeypatch: pytest.MonkeyPatch, features: set[str], limit: str | None = None) -> None:
    monkeypatch.setattr(precision, "processor_features", lambda: features)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)


@pytest.mark.parametrize(
    ("features", "limit", "fast"),
    [
        ({"avx2", "fma"}, None, False),
        ({"avx2", "avx512f", "avx512vnni"}, None, False),
        ({"avx2", "avx512f", "avx512bf16"}, None, True),
        ({"avx2", "avx512f", "amx-bf16"}, "ALL", True),
        ({"avx2", "avx512f", "avx512bf16", "amx-bf16"}, "AVX2", False),
        ({"avx2", "avx512f", "avx512bf16", "amx-bf16"}, "avx512_core", False),
        ({"neon", "bf16"}, None, False),
    ],
)
def test_bfloat16_is_fast_where_there_are_instructions_for_it(
    features: set[str], limit: str | None, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, features, limit)
    assert has_fast_bfloat16("cpu") is fast
    assert instruction_sets()["bfloat16"] == ("fast" if fast else "slow, not used")


@pytest.mark.parametrize(
    ("asked", "fast", "taken"), [("auto", True, True), ("auto", False, False), ("false", True, False)]
)
def test_auto_chooses_the_fast_precision_of_the_machine(
    asked: str, fast: bool, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    pretend(monkeypatch, {"avx512bf16"} if fast else {"avx2"})
    _, module = build(decide(settings_of(tmp_path, *TINY, f"model.bpn.bfloat16={asked}")))
    assert module.bpn is not None and module.bpn.rounds is taken


def test_slow_precision_is_used_on_request_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, {"avx2"})
    _, module = build(decide(settings_of(tmp_path, *TINY, "model.bpn.bfloat16=true")))
    assert module.bpn is not None and module.bpn.rounds
    assert "no instructions for bfloat16" in " ".join(capfd.readouterr().err.split())


def test_resumed_run_keeps_its_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"avx512bf16"})
    settings = settings_of(tmp_path, *TINY, "schedule.steps=2", "output.images_every=null")
    run(settings)
    pretend(monkeypatch, {"avx2"})
    _, module = build(decide(settings))
    assert module.bpn is not None and not module.bpn.rounds
    restore(module, Saved(settings.folder / "checkpoints" / "last.ckpt"))
    assert module.bpn.rounds


def test_checkpoints_from_before_take_the_precision_of_the_settings() -> None:
    network = BPN(2, (3,), None, BPNSettings(), bfloat16=True)
    state = {key: value for key, value in network.state_dict().items() if "_extra_state" not in key}
    other = BPN(2, (3,), None, BPNSettings(), bfloat16=True)
    other.load_state_dict(state)
    assert other.rounds and torch.equal(other.embedding.weight, network.embedding.weight)


def test_other_words_for_it_are_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.bpn\.bfloat16"):
        BPNSettings(bfloat16="fast")
