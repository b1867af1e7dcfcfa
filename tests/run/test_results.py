"""The table that a run prints."""

from __future__ import annotations

from typing import Any

import pytest

from bags.config import compose
from bags.run.results import table_of_tests


@pytest.mark.parametrize(
    ("lpips", "columns"),
    [
        ((0.1, 0.3), ["test view", "PSNR", "SSIM", "LPIPS"]),
        ((0.1, None), ["test view", "PSNR", "SSIM", "LPIPS"]),
        ((None, None), ["test view", "PSNR", "SSIM"]),
    ],
)
def test_a_metric_that_was_not_computed_has_no_column(lpips: tuple[float | None, ...], columns: list[str]) -> None:
    views = [{"name": f"{i}.png", "psnr": 30.0, "ssim": 0.9, "lpips": value} for i, value in enumerate(lpips)]
    mean = {"psnr": 30.0, "ssim": 0.9, "lpips": lpips[0]}
    metrics: dict[str, Any] = {**mean, "protocol": "deblur_nerf", "per_view": views}
    table = table_of_tests(compose("scene=tiny"), metrics)
    assert [column.header for column in table.columns] == columns
    assert [next(iter(column.cells)) for column in table.columns][:2] == ["0.png", "30.00"]
    assert table.row_count == 3
