"""Laws of cameras: a point falls on the same place of the photo, whatever was cut off, added, enlarged or reduced."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bags.types import Camera

quick = settings(max_examples=60, deadline=None, derandomize=True)
whole = st.integers
cameras = st.builds(
    Camera,
    rotation=st.just(torch.eye(3)),
    translation=st.just(torch.tensor([0.1, -0.2, 0.5])),
    fx=st.floats(20, 200),
    fy=st.floats(20, 200),
    width=whole(16, 90),
    height=whole(16, 90),
    offset=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
windows = st.tuples(whole(-20, 40), whole(-20, 40), whole(1, 60), whole(1, 60))
POINT = torch.tensor([0.3, -0.4, 2.0])


def seen(camera: Camera) -> tuple[float, float]:
    """Where a point falls, in pixels of the camera's own image; integers are pixel centres."""
    x, y, z = (camera.rotation @ POINT + camera.translation).tolist()
    return camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy


def same(one: Camera, other: Camera) -> None:
    """Alike but for the rounding of floats."""
    for field in fields(Camera):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("fx", "fy", "offset"):
            assert a == pytest.approx(b, rel=1e-9, abs=1e-9), field.name
        else:
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name


@quick
@given(cameras, windows, windows)
def test_crops(camera: Camera, window: tuple[int, ...], inner: tuple[int, ...]) -> None:
    """A crop moves the origin and nothing else; a crop of a crop is one crop; a margin is a crop that is larger."""
    left, top, width, height = window
    crop = camera.cropped(*window)
    x, y = seen(camera)
    assert seen(crop) == pytest.approx((x - left, y - top), abs=1e-9)
    assert (crop.width, crop.height, crop.corner) == (width, height, (left, top))
    assert (crop.photo_size, crop.half_field) == ((camera.width, camera.height), camera.half_field)
    same(crop.cropped(*inner), camera.cropped(left + inner[0], top + inner[1], *inner[2:]))
    margin = abs(inner[0])
    padded = crop.padded(margin)
    assert seen(padded) == pytest.approx((x - left + margin, y - top + margin), abs=1e-9)
    same(padded.cropped(margin, margin, width, height), crop)
    with pytest.raises(ValueError, match="resize the whole"):
        crop.resized(20, 15)


@quick
@given(cameras, windows, whole(1, 6), whole(1, 200), whole(1, 200))
def test_resizing(camera: Camera, window: tuple[int, ...], factor: int, width: int, height: int) -> None:
    """Edges of the image stay edges: half a pixel before the first centre. A crop forgets nothing of the photo."""
    x, y = seen(camera)
    resized = camera.resized(width, height)
    across, down = width / camera.width, height / camera.height
    assert seen(resized) == pytest.approx(((x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5), abs=1e-9)
    assert resized.half_field == pytest.approx(camera.half_field)
    same(resized.resized(camera.width, camera.height), camera)
    small = camera.reduced(factor)
    assert seen(small) == pytest.approx(((x + 0.5) / factor - 0.5, (y + 0.5) / factor - 0.5), abs=1e-9)
    assert (small.width, small.height) == (-(-camera.width // factor), -(-camera.height // factor))
    assert (small.photo, small.corner) == (None, (0, 0))
    same(camera.cropped(*window).reduced(factor), small)
    same(camera.resized(factor * 24, factor * 18).reduced(factor), camera.resized(24, 18))


@quick
@given(cameras, windows, st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_shifts(camera: Camera, window: tuple[int, ...], right: float, down: float) -> None:
    """The point moves with the principal point, before a crop as after it."""
    x, y = seen(camera)
    assert seen(camera.shifted(right, down)) == pytest.approx((x + right, y + down), abs=1e-9)
    same(camera.shifted(right, down).cropped(*window), camera.cropped(*window).shifted(right, down))
