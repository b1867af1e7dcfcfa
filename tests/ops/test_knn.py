"""Mean squared neighbour distances, and which package may compute them."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from bags.errors import BagsError
from bags.ops.knn import mean_square_distance, simple_knn


def test_against_all_pairs() -> None:
    points = torch.randn(40, 3, dtype=torch.float64)
    square = torch.cdist(points, points).square().fill_diagonal_(torch.inf)
    expected = square.sort(dim=1).values[:, :3].mean(dim=1)
    torch.testing.assert_close(mean_square_distance(points), expected)


@pytest.mark.parametrize("count, expected", [(1, [0.0]), (2, [4.0, 4.0])])
def test_small_clouds_use_all_there_is(count: int, expected: list[float]) -> None:
    points = torch.tensor([[0.0, 0, 0], [2.0, 0, 0]])[:count]
    assert mean_square_distance(points).tolist() == expected


def fake(**attributes: object) -> ModuleType:
    module = ModuleType("simple_knn._C")
    module.__dict__.update(attributes)
    return module


def test_unrelated_package_of_the_same_name_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    right = fake(distCUDA2=lambda points: points[:, 0])
    monkeypatch.setitem(sys.modules, "simple_knn._C", right)
    assert simple_knn() is right.distCUDA2
    for wrong in (None, fake()):  # not there at all; there without the function
        monkeypatch.setitem(sys.modules, "simple_knn._C", wrong)
        with caplog.at_level("DEBUG", logger="bags.ops.knn"):
            assert simple_knn() is None
        assert "simple-knn on PyPI is another package" in caplog.text
        with pytest.raises(BagsError, match=r"model\.gaussians\.neighbours=simple_knn: .*another package"):
            simple_knn(required=True)


class OnCuda(torch.Tensor):
    """Claims to be on a GPU."""

    is_cuda = True  # type: ignore[assignment]


def test_cuda_points_go_to_the_kernel_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def dist(points: torch.Tensor) -> torch.Tensor:
        seen.append((points.dtype, points.is_contiguous()))
        return points[:, 0].double()

    monkeypatch.setitem(sys.modules, "simple_knn._C", fake(distCUDA2=dist))
    points = torch.randn(3, 9, dtype=torch.float64).T.as_subclass(OnCuda)
    result = mean_square_distance(points)
    assert seen == [(torch.float32, True)] and result.dtype == torch.float64
    mean_square_distance(points, method="scipy")
    mean_square_distance(points, neighbours=4)
    mean_square_distance(points[:3])
    assert len(seen) == 1
    with pytest.raises(BagsError, match="more than 3 points on CUDA"):
        mean_square_distance(torch.randn(9, 3), method="simple_knn")
