"""A camera that sees a part of a photo draws that part of what the whole camera draws."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from random_splats import images, leaves, random_camera, random_splats

from bags.rendering import make_rasterizer
from bags.types import Camera, Splats

WINDOW = (16, 32, 33, 21)
NAMES = [f.name for f in fields(Splats)]
# Worst seen over 6 seeds, relative to the largest entry: float64 3e-15, float32 4e-7.
CASES = {"reference": (torch.float64, 1e-13), "numba": (torch.float32, 2e-6)}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item()


@pytest.mark.parametrize("margin", [0, 5])
@pytest.mark.parametrize("name", CASES)
def test_a_crop_is_drawn_as_the_whole_is(name: str, margin: int) -> None:
    dtype, limit = CASES[name]
    rasterizer, camera = make_rasterizer(name, "cpu"), random_camera(80, 64, seed=2)
    # Half of them are beyond the field of view's sides, where the clamp of the direction acts.
    splats = random_splats(200, camera, seed=2, size=3.0)
    left, top, width, height = WINDOW
    part = (slice(top, top + height + 2 * margin), slice(left, left + width + 2 * margin))
    weights = torch.rand(5, height + 2 * margin, width + 2 * margin, dtype=dtype)
    results = []
    for seen in (camera.padded(margin), camera.cropped(*WINDOW).padded(margin)):
        inputs = leaves(splats, dtype)
        out = rasterizer(inputs, seen, sh_degree=3, background=torch.rand(3).to(dtype) * 0)
        image = torch.cat([out.rgb, out.depth[None], out.alpha[None]])
        image = image[:, part[0], part[1]] if seen.width == camera.width + 2 * margin else image
        (image * weights).sum().backward()
        results.append((image, out, {key: getattr(inputs, key).grad for key in NAMES}))
    (whole, whole_out, whole_grads), (crop, crop_out, crop_grads) = results
    assert 0 < crop_out.radii.count_nonzero() < whole_out.radii.count_nonzero()
    assert difference(crop, whole) < limit
    for key in NAMES:
        assert difference(crop_grads[key], whole_grads[key]) < limit, key
    assert difference(crop_out.means2d.grad, whole_out.means2d.grad) < limit


def test_the_clamp_of_the_direction_is_that_of_the_whole_photo() -> None:
    camera = Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 40, 40)  # tan(fov / 2) = 1
    crop = camera.cropped(32, 0, 8, 8)
    assert crop.half_field == crop.padded(7).half_field == camera.half_field == (1.0, 1.0)
    splats = random_splats(300, camera, size=8.0)
    draw = make_rasterizer("numba", "cpu")
    right = draw(splats, crop, sh_degree=0, background=torch.zeros(3))
    wrong = draw(splats, replace(crop, photo=None), sh_degree=0, background=torch.zeros(3))
    assert (images(right)[0] - images(wrong)[0]).abs().max() > 1e-3  # so the test above can fail
