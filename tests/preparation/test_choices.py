from __future__ import annotations

import pytest

from bags.preparation.choices import choose


@pytest.mark.parametrize(
    ("size", "device", "factor", "gaussians"),
    [
        ((2400, 1600), "cpu", 4, 60_000),
        ((4032, 3024), "cpu", 8, 48_000),
        ((3024, 4032), "cuda", 4, 762_000),
        ((640, 480), "cpu", 1, 60_000),
        ((800, 600), "cpu", 2, 30_000),
        ((288, 192), "cpu", 1, 14_000),
        ((120, 160), "cpu", 1, 10_000),
        ((160, 120), "cuda", 1, 19_000),
    ],
)
def test_resolution_and_gaussians(size, device, factor, gaussians) -> None:
    chosen = choose([size] * 3, [0.5] * 3, device)
    assert chosen["dataset.factor"] == factor
    assert chosen["model.gaussians.max_count"] == gaussians
    assert chosen["schedule.steps"] == {"cpu": 2000, "cuda": None}[device]
    assert "model.bpn.kernels" not in chosen


def test_mostly_sharp_photos_get_small_kernels() -> None:
    assert choose([(300, 200)] * 3, [0.5, 0.72, 0.8], "cpu")["model.bpn.kernels"] == (5, 7, 9)
    assert "model.bpn.kernels" not in choose([(300, 200)] * 3, [0.5, 0.6, 0.8], "cpu")
