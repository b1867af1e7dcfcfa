from __future__ import annotations

import torch

from bags.datamodules.start_points import around, thinned
from bags.types import Camera, PointCloud, Scene, View


def cloud(count):
    return PointCloud(torch.arange(3.0 * count).reshape(-1, 3), torch.arange(float(count))[:, None].expand(-1, 3))


def test_of_more_points_so_many_are_drawn_evenly():
    points = cloud(1000)
    few = thinned(points, 100, seed=3)
    place = few.rgb[:, 0].long()
    assert len(place) == 100 and bool((place.diff() > 0).all())
    assert few.xyz.equal(points.xyz[place])
    assert all(10 <= int(((place >= start) & (place < start + 250)).sum()) <= 40 for start in range(0, 1000, 250))
    assert thinned(points, 100, seed=3).xyz.equal(few.xyz)
    assert not thinned(points, 100, seed=4).xyz.equal(few.xyz)
    assert thinned(points, 1000, 0) is points


def test_random_points_lie_where_the_cameras_look():
    views = tuple(
        View(str(x), Camera(torch.eye(3), torch.tensor([-x, 0.0, 0.0]), 50.0, 50.0, 48, 32), lambda: None)
        for x in (99.0, 101.0)
    )
    corners = PointCloud(torch.tensor([[-1.3] * 3, [1.3] * 3]), torch.zeros(2, 3))
    moved = around(corners, Scene("s", views, (), corners), extent=1.0)
    torch.testing.assert_close(moved.xyz, torch.tensor([[97.0, -3.0, -2.0], [103.0, 3.0, 4.0]]))
