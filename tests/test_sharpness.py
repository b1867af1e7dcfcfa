"""The measure of sharpness: the photo's detail counts, noise does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d

from bags.benchmark import sharpness
from bags.benchmark.sharpness import detail, fine, laplacian_variance
from bags.io.images import write_png


def photo() -> torch.Tensor:
    noise = torch.rand(3, 66, 98, generator=torch.Generator().manual_seed(0))
    return avg_pool2d(noise, 3, stride=1)


def test_share_and_correlation() -> None:
    image = photo()
    noise = 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    same, noisy, soft = (detail(render, image, 4) for render in (image, image + noise, image - fine(image, 4)))
    assert (same.share, same.correlation) == pytest.approx((1, 1))
    assert noisy.share == pytest.approx(1, abs=0.1) and noisy.correlation < 0.8
    assert abs(soft.share) < 0.2
    assert abs(detail(noise, image, 4).share) < 0.1
    assert laplacian_variance(image + noise) > laplacian_variance(image)  # the custom's measure is fooled


def test_table_of_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = photo()
    small = avg_pool2d(image, 4)
    for name, size in (("full", image), ("quarter", small)):
        for kind in (
            "test/render",
            "test/ground_truth",
            "train_views/photo",
            "train_views/sharp",
            "train_views/prediction",
        ):
            write_png(tmp_path / name / kind / "a.png", size)
        write_png(tmp_path / name / "train_views" / "photo" / "b.png", size)
        write_png(tmp_path / name / "train_views" / "sharp" / "b.png", size)
        write_png(tmp_path / name / "train_views" / "prediction" / "b.png", 1 - size)  # not looked at: b is sharp
    sharpness.main(str(tmp_path / "full"), str(tmp_path / "quarter"), "b")
    lines = capsys.readouterr().out.splitlines()
    for name in (
        "held out: share 1/4",
        "sharp training: correlation 1/4",
        "blurred training: share 1/4",
    ):
        figure = next(line for line in lines if name in line).split("│")
        assert float(figure[2]) == pytest.approx(1, abs=0.01) and float(figure[3]) < 0.3
        assert figure[4].strip() == "1 of 1"
    assert "2 of 2" in next(line for line in lines if "Laplacian" in line)
