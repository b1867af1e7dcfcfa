"""Blur truths against measurements on photos of a bright dot on a plain wall."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from bags.datamodules.mixed_resolution import low_resolution_truth, low_size
from bags.datamodules.synthetic import blur
from bags.datamodules.synthetic.raycaster import instant, photograph
from bags.datamodules.synthetic.world import World, build_world
from bags.types import Camera

DEPTH = 4.0
PAPER, DOT = 0.2, 0.9


def dot_world(depth: float = DEPTH, dot: float = DOT) -> World:
    """A wall across the view at ``depth`` with a small bright ball sunk into it at the optical axis; flat light."""
    room = np.array([0.0, depth - 10.0, 0.0, 20.0, 10.0, 20.0])
    ball = np.array([0.0, depth, 0.0, 0.05, 0.05, 0.05])
    rows = [np.concatenate([r, [1.0, 0.0], 1 / r[3:], [(r[3:] ** 2).sum()]]) for r in (room, ball)]
    return build_world(np.random.default_rng(0))._replace(
        shapes=np.array([1, 0]),
        solids=np.stack(rows),
        materials=np.array([[0, 0, 0], [1, 1, 1]]),
        patterns=np.zeros(2, np.int64),
        sizes=np.array([[1.0, 1.0, 0.0, 1.0]] * 2),
        colours=np.full((2, 3, 3), PAPER) + np.array([0.0, dot - PAPER])[:, None, None],
        brightness=0.0,
        ambient=1.0,
    )


def front_camera(offset: tuple[float, float] = (0.0, 0.0), width: int = 60, height: int = 40) -> Camera:
    """At the origin, looking along +y with z up."""
    rotation = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Camera(rotation, torch.zeros(3), 150.0, 150.0, width, height, offset)


def moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroid (2,) and covariance (2, 2) of the light beyond the paper's, in pixels (x, y)."""
    weight = image[..., 1] - PAPER
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]]
    places = np.stack([cols, rows], -1).reshape(-1, 2).astype(float)
    weight = weight.ravel() / weight.sum()
    mean = weight @ places
    return mean, (weight[:, None] * (places - mean)).T @ (places - mean)


def spread(photo: np.ndarray, sharp: np.ndarray) -> float:
    """Root mean square spread that the photo has beyond the sharp one."""
    return math.sqrt(added_variance(photo, sharp))


def added_variance(photo: np.ndarray, sharp: np.ndarray) -> float:
    return float(np.trace(moments(photo)[1]) - np.trace(moments(sharp)[1]))


@pytest.mark.parametrize(("seed", "length"), [(0, 3.0), (1, 6.0), (2, 9.0), (3, 12.0)])
def test_motion_blur_matches_its_ground_truth(seed: int, length: float) -> None:
    world, camera = dot_world(), front_camera()
    exposure = blur.shaken(camera, blur.any_motion(np.random.default_rng(seed)), length, DEPTH, 512)
    truth = blur.exposure_truth("motion", world, camera, exposure)
    photo = photograph(world, camera, exposure)
    sharp = photograph(world, camera, instant(camera, 512))
    mean, covariance = moments(photo)
    # The truth is a mean over the image (with roll), the dot sits in its middle: measured within 1.1 %, 0.7 degrees.
    assert spread(photo, sharp) == pytest.approx(truth.amount, rel=0.03)
    covariance = covariance - moments(sharp)[1]
    measured = math.degrees(math.atan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])) / 2
    assert abs((measured - truth.direction + 90) % 180 - 90) < 2
    assert 0 <= truth.direction < 180
    assert length * 0.98 < truth.length < length * 1.2  # curvature makes the path longer than its chord
    np.testing.assert_allclose(mean, moments(sharp)[0], atol=0.08)  # the nominal pose sees the mean


def test_motion_strength_is_exact_without_roll_at_the_centre() -> None:
    camera = front_camera()
    exposure = blur.shaken(camera, blur.any_motion(np.random.default_rng(4)), 10.0, DEPTH, 64)
    path = exposure.project(camera, np.array([[0.0, DEPTH, 0.0]]))[:, 0]
    chord = np.linalg.norm(path[-1] - path[0]) * 64 / 63
    assert chord == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize("focus", [2.5, 3.2, 8.0])
def test_defocus_is_a_disc_of_the_lens_equation(focus: float) -> None:
    world, camera, diameter = dot_world(), front_camera(), 0.3
    exposure = blur.opened(camera, diameter, focus, 512)
    disc = camera.fx * diameter * abs(1 / focus - 1 / DEPTH)
    photo = photograph(world, camera, exposure)
    sharp = photograph(world, camera, instant(camera, 512))
    expected = disc / 2 / math.sqrt(2)  # RMS radius of a uniform disc
    assert spread(photo, sharp) == pytest.approx(expected, rel=0.03)  # measured 1.3 %
    truth = blur.exposure_truth("defocus", world, camera, exposure)
    assert truth.amount == pytest.approx(expected, rel=1e-4)
    assert truth.length == truth.direction == 0
    np.testing.assert_allclose(moments(photo)[0], moments(sharp)[0], atol=0.05)


def test_defocus_grows_with_distance_from_the_focus() -> None:
    world, camera = dot_world(), front_camera()
    amounts = [
        blur.exposure_truth("defocus", world, camera, blur.opened(camera, 0.3, focus, 64)).amount
        for focus in (4.0, 3.6, 3.2, 2.8, 2.4)
    ]
    assert amounts[0] < 1e-4
    assert all(low < high for low, high in itertools.pairwise(amounts))


@pytest.mark.parametrize("factor", [2.0, 3.0, 4.0])
def test_low_resolution_spreads_as_its_truth_says(factor: float) -> None:
    world = dot_world()
    places = (np.arange(4) + 0.5) / 4 * factor
    variances = []
    for x in places:  # bicubic interpolation spreads a dot by its place within the large pixel: take the mean
        for y in places:
            camera = front_camera((x, y))
            photo = blur.low_resolution(world, camera, factor, 64)
            sharp = photograph(world, camera, instant(camera, 64))
            variances.append(added_variance(photo, sharp))
    camera = front_camera()
    expected = low_resolution_truth(camera.width, camera.height, factor).amount
    assert math.sqrt(np.mean(variances)) == pytest.approx(expected, rel=0.06)  # measured 4 %: few places, clipped lobes


def test_low_resolution_keeps_the_light_and_the_place() -> None:
    world, camera = dot_world(), front_camera((0.7, -0.4))
    photo, sharp = blur.low_resolution(world, camera, 3.0, 64), photograph(world, camera, instant(camera, 64))
    assert photo.mean() - PAPER == pytest.approx(sharp.mean() - PAPER, rel=0.03)
    np.testing.assert_allclose(moments(photo)[0], moments(sharp)[0], atol=0.3)
    assert low_size(camera.width, camera.height, 1e9) == (2, 2)
