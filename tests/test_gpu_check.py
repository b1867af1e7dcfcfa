"""The checks for machines with a GPU, tried on the CPU: what they compute, what they write, that they can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bags.benchmark import gpu_checks
from bags.errors import BagsError
from bags.tasks import gpu_check
from tests.integration.test_training import settings_of


def small_settings(folder: Path, *more: str) -> Any:
    return settings_of(folder, "task=gpu_check", "name=check", *more)


def test_the_checks_pass_on_the_cpu_and_are_written(tmp_path: Path) -> None:
    gpu_check.run(small_settings(tmp_path))
    result = json.loads((tmp_path / "check" / "gpu_check.json").read_text())
    checks = {check["name"]: check for check in result["checks"]}
    assert checks["numba against the reference"]["passed"] is True
    assert checks["per-pixel convolution against the reference"]["passed"] is True
    assert checks["short training of the built-in scene"]["figures"]["steps"] == 20
    assert any(name.startswith("step ") for name in checks) and any(name.startswith("convolution ") for name in checks)
    assert "numba against the reference" in (tmp_path / "check" / "gpu_check.md").read_text()


def test_a_wrong_kernel_and_a_broken_part_fail_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gpu_checks.per_pixel_conv
    monkeypatch.setattr(gpu_checks, "per_pixel_conv", lambda *x, **more: 1.001 * right(*x, **more))

    def broken(*_: object) -> list[gpu_checks.Check]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu_checks, "steps", broken)
    monkeypatch.setattr(gpu_check, "short_training", lambda *_: gpu_checks.Check("training", None))
    with pytest.raises(BagsError, match="per-pixel convolution against the reference, steps"):
        gpu_check.run(small_settings(tmp_path))
    checks = json.loads((tmp_path / "check" / "gpu_check.json").read_text())["checks"]
    assert [check["passed"] for check in checks if check["name"].startswith("numba")] == [True]
    assert "out of memory" in checks[-1]["figures"]["error"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BagsError, match="no CUDA device"):
        gpu_check.run(small_settings(tmp_path, "trainer.accelerator=auto"))
