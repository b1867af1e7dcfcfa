"""The benchmark's arithmetic and its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bags.benchmark.blur_step import camera_blur_row
from bags.benchmark.measure import Measured, peak_mb, row
from bags.benchmark.rows import counted_mb, defocus_row, own_mb, path_blur_row, unfolded_conv
from bags.ops.per_pixel_conv import per_pixel_conv, per_pixel_conv_reference
from bags.tasks import benchmark
from tests.integration.test_training import settings_of


def test_row_ratios() -> None:
    line = row("x", Measured(2.0, 0.1, 10.0), Measured(50.0, 1.0, 200.0), extra=3)
    assert (line["ratio"], line["memory_ratio"], line["extra"]) == (25.0, 20.0, 3)
    assert row("x", Measured(2.0, 0.1, None), Measured(50.0, 1.0, 200.0))["memory_ratio"] is None


def test_peak_memory_sees_what_is_freed_again() -> None:
    used = peak_mb(lambda: torch.ones(50_000_000).sum())
    if used is None:
        pytest.skip("not Linux")
    assert 190 < used < 260


def test_the_plain_convolution_computes_the_same() -> None:
    image, features, head, mask = torch.rand(3, 13, 14), torch.randn(8, 9, 10), torch.randn(25, 8), torch.rand(9, 10)
    inputs = image, features, head, mask
    torch.testing.assert_close(unfolded_conv(*inputs), per_pixel_conv_reference(*inputs))


@pytest.mark.parametrize(
    ("which", "convolve", "width", "height"),
    [(0, per_pixel_conv, 900, 600), (1, unfolded_conv, 300, 200)],
)
def test_the_convolutions_memory_is_what_its_tensors_count(
    which: int, convolve: Callable[..., Tensor], width: int, height: int
) -> None:
    """Beside them live the threads' strips and what libraries need for themselves, which does not grow."""
    own_mb(convolve, 9, 30, 20)
    measured, counted = own_mb(convolve, 9, width, height), counted_mb(9, width, height)[which]
    if measured is None:
        pytest.skip("not Linux")
    assert 0.8 * counted < measured < 1.1 * counted + 100  # a plane of logits of the first: 167 MB


def test_at_full_resolution_the_convolution_needs_a_twentieth_of_unfolds_memory() -> None:
    ours, unfold = counted_mb(17, 2400, 1600)
    assert ours < unfold / 20


def test_benchmark_writes_its_rows(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "task=benchmark", "benchmark.full=false", "benchmark.repeats=1", "name=bench")
    benchmark.run(settings)
    result = json.loads((tmp_path / "bench" / "benchmark.json").read_text())
    assert result["machine"]
    names = [line["name"] for line in result["rows"]]
    assert names[0] == "rasterizer 160x120 5k" and any(name.startswith("step ") for name in names)
    for line in result["rows"]:
        assert line["ours_ms"] > 0 and line["plain_ms"] > 0
        assert line["ratio"] == pytest.approx(line["plain_ms"] / line["ours_ms"], rel=0.05)
    parts = result["rows"][-1]["parts_ms"]
    assert {"projection and SH", "rasteriser", "BPN", "per-pixel convolution", "loss", "Adam"} <= set(parts)


@pytest.mark.parametrize(
    ("pixels", "lens", "name"),
    [(0, True, "lens"), (3, False, "path of 3 pixels"), (4.5, True, "path of 4.5 pixels and lens")],
)
def test_steps_of_a_camera_that_moves(pixels: float, lens: bool, name: str) -> None:
    found = camera_blur_row(48, 32, 50, pixels, lens, repeats=1)
    assert found["name"] == f"step 48x32 0.05k {name}" and found["ours_ms"] > 0


def test_blur_along_a_path_is_timed_against_grid_sample() -> None:
    found = path_blur_row(48, 32, 3, repeats=1)
    assert found["name"] == "path blur 48x32, 3 instants" and found["ours_ms"] > 0 and found["plain_ms"] > 0
    found = defocus_row(48, 32, 2, repeats=1)
    assert found["name"] == "defocus 48x32, discs up to 2 pixels" and found["ours_ms"] > 0 and found["plain_ms"] > 0
