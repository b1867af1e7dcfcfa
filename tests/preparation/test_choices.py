from __future__ import annotations

from bags.preparation.choices import choose


def test_resolution_and_gaussians(subtests) -> None:
    for size, device, factor, gaussians in (
        ((2400, 1600), "cpu", 4, 60_000),
        ((4032, 3024), "cpu", 8, 48_000),
        ((3024, 4032), "cuda", 4, 762_000),
        ((640, 480), "cpu", 1, 60_000),
        ((800, 600), "cpu", 2, 30_000),
        ((288, 192), "cpu", 1, 14_000),
        ((120, 160), "cpu", 1, 10_000),
        ((160, 120), "cuda", 1, 19_000),
    ):
        with subtests.test(device, size=size):
            chosen = choose([size] * 3, device)
            assert chosen["dataset.factor"] == factor
            assert chosen["model.gaussians.max_count"] == gaussians
            minutes = {"cpu": 15, "cuda": None}[device]
            assert chosen.get("schedule.minutes") == minutes and "schedule.steps" not in chosen
            assert "model.bpn.kernels" not in chosen


def test_as_many_pixels_as_leave_steps_enough(subtests) -> None:
    """15 minutes; the coarsest is tried first, and nothing that cannot fit."""
    for size, step, factor, tried in (
        ((2400, 1600), 0.4, 4, [8, 4]),  # seconds of a step at 600 pixels, growing with the area
        ((2400, 1600), 3.2, 8, [8]),
        ((2400, 1600), 0.04, 2, [8, 4, 2]),
        ((2400, 1600), 0.0, 2, [8, 4, 2]),
        ((1600, 2400), 0.4, 4, [8, 4]),
        ((800, 533), 0.4, 2, [4, 2]),
        ((160, 120), 0.4, 1, [1]),
        ((4032, 3024), 60.0, 16, [16]),
    ):
        asked = []

        def steps(values, size=size, step=step, asked=asked) -> int:
            asked.append(values["dataset.factor"])
            seconds = step * (max(size) / values["dataset.factor"] / 600) ** 2
            return 30_000 if seconds == 0 else min(30_000, int(900 / seconds))

        with subtests.test(size=size, step=step):
            chosen = choose([size] * 3, "cpu", steps)
            assert (chosen["dataset.factor"], asked) == (factor, tried)
            assert chosen["schedule.minutes"] == 15
            pixels = size[0] * size[1] / factor**2
            assert chosen["model.gaussians.max_count"] == min(60_000, max(10_000, round(0.25 * pixels, -3)))
