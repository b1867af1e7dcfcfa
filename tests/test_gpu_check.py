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
    assert checks["blur of path and lens against the reference"]["passed"] is True
    assert checks["short training of the built-in scene"]["figures"]["steps"] == 20
    assert any(name.startswith("step ") for name in checks) and any(name.startswith("convolution ") for name in checks)
    assert "numba against the reference" in (tmp_path / "check" / "gpu_check.md").read_text()


def test_a_wrong_kernel_and_a_broken_part_fail_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gpu_checks.per_pixel_conv
    monkeypatch.setattr(gpu_checks, "per_pixel_conv", lambda *x, **more: 1.001 * right(*x, **more))
    blur = gpu_checks.defocus
    monkeypatch.setattr(
        gpu_checks, "defocus", lambda image, *maps: blur(image, *maps) * (1 + (image.dtype == torch.float32))
    )

    def broken(*_: object) -> list[gpu_checks.Check]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu_checks, "steps", broken)
    monkeypatch.setattr(gpu_check, "short_training", lambda *_: gpu_checks.Check("training", None))
    with pytest.raises(
        BagsError,
        match="per-pixel convolution against the reference, blur of path and lens against the reference, steps",
    ):
        gpu_check.run(small_settings(tmp_path))
    checks = json.loads((tmp_path / "check" / "gpu_check.json").read_text())["checks"]
    assert [check["passed"] for check in checks if check["name"].startswith("numba")] == [True, True]
    assert "out of memory" in checks[-1]["figures"]["error"]


@pytest.mark.parametrize(("ratio", "passed"), [(1.2, True), (0.9, False)])
def test_convolution_must_beat_unfold_and_reports_its_memory(
    monkeypatch: pytest.MonkeyPatch, ratio: float, passed: bool
) -> None:
    """On an H100 unfold is nearly as fast: its matrix products are the same, and the memory is what ours saves."""
    row = {"name": "convolution", "ratio": ratio, "memory_ratio": 20.0}
    monkeypatch.setattr(gpu_checks, "convolution_row", lambda *_, **__: row)
    gate, large = gpu_checks.convolution_is_fast("cuda", small=False)
    assert gate.passed is passed and gate.figures["memory_ratio"] == 20 and large.passed is None


def test_a_build_that_gives_the_background_no_gradient_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The builds of diff-gaussian-rasterization give it none; numba stands for one of them here."""
    draw = gpu_checks.make_rasterizer("numba", "cpu")

    def without(splats: Any, camera: Any, *, background: Any, **options: Any) -> Any:
        return draw(splats, camera, background=background.detach(), **options)

    made = {"reference": gpu_checks.make_rasterizer("reference", "cpu"), "numba": without}
    monkeypatch.setattr(gpu_checks, "make_rasterizer", lambda name, device: made[name])
    checks = gpu_checks.rasterizers("cpu", small=True)
    assert [check.passed for check in checks] == [True, True] and "grad.background" not in checks[0].figures


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BagsError, match="no CUDA device"):
        gpu_check.run(small_settings(tmp_path, "trainer.accelerator=auto"))
