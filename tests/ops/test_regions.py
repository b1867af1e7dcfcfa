"""Boxes and spheres, and the sphere that the photos show."""

from __future__ import annotations

import math

import pytest
import torch

from bags.ops.regions import common_sphere, extent, inside, solid
from bags.types import Camera, Splats

POINTS = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.9, 0.9, 0.0], [0.0, 0.0, -2.0]])


def test_inside() -> None:
    assert inside(POINTS, (0, 0, 0, 1)).tolist() == [True, True, False, False]
    assert inside(POINTS, (-1, -1, -1, 1, 1, 1)).tolist() == [True, True, True, False]
    assert extent(POINTS) == "x 0 to 1, y 0 to 0.9, z -2 to 0"


def test_faint_gaussians_do_not_count_unless_all_are() -> None:
    def splats(*opacities: float) -> Splats:
        rest = torch.zeros(4, 1, 3)
        return Splats(POINTS, POINTS, torch.zeros(4, 4), torch.tensor(opacities), rest, rest[:, :0])

    assert torch.equal(solid(splats(0.9, 0.1, 0.6, 0.5)), POINTS[[0, 2]])
    assert torch.equal(solid(splats(0.4, 0.1, 0.2, 0.5)), POINTS)


@pytest.mark.parametrize("field", [(60, 40), (30, 50)])
def test_the_common_sphere_is_what_half_of_the_photos_show_whole(field: tuple[int, int]) -> None:
    def camera(angle: float, focal: float) -> Camera:
        """At 5 from (1, 2, 3), looking there."""
        c, s = math.cos(angle), math.sin(angle)
        rotation = torch.tensor([[-s, 0.0, c], [0.0, -1.0, 0.0], [c, 0.0, s]])
        center = torch.tensor([1.0, 2.0, 3.0]) - 5 * rotation[2]
        return Camera(rotation, -rotation @ center, focal, focal, *field)

    photos = [camera(a, f) for a, f in ((0.0, 25.0), (1.0, 40.0), (2.5, 90.0), (4.0, 60.0), (5.0, 20.0))]
    x, y, z, radius = common_sphere(photos, torch.tensor([[1.0, 2.0, 3.0]]))
    assert (x, y, z) == pytest.approx((1, 2, 3), abs=1e-4)
    assert radius == pytest.approx(5 * math.sin(math.atan(min(field) / 80)), abs=1e-3)
