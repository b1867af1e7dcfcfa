"""Flights through scenes photographed from one side, from all around, and from above."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch

from bags.ops.trajectories import ellipse, focus, resting_path, spiral, tour, training_path
from bags.types import Camera

TARGET = np.array([0.5, -0.3, 4.0])


def camera(center, target, up, width=40, height=30):
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera(torch.tensor(rotation).float(), torch.tensor(-rotation @ center).float(), 40.0, 42.0, width, height)


def before(seed=0):
    """A hand-held grid in front of the scene; down is +y."""
    draw = np.random.default_rng(seed)
    grid = [np.array([x, y, 0.0]) for y in (-0.5, 0, 0.5) for x in (-1, -0.5, 0, 0.5, 1)]
    places = [place + draw.normal(0, 0.05, 3) for place in grid]
    return [camera(place, TARGET + draw.normal(0, 0.1, 3), np.array([0, -1.0, 0])) for place in places]


def around(seed=0):
    """A walk around the scene, 3 to 4 away, at changing height; up is +z."""
    draw = np.random.default_rng(seed)
    cameras = []
    for angle in np.linspace(0, 2 * math.pi, 24, endpoint=False):
        radii = np.array([4 * math.cos(angle), 3 * math.sin(angle), 1 + 0.5 * math.sin(2 * angle)])
        cameras.append(
            camera(TARGET + radii + draw.normal(0, 0.05, 3), TARGET + draw.normal(0, 0.1, 3), np.array([0, 0, 1.0]))
        )
    return cameras


def above(seed=0):
    """A drone that looks straight down, lane by lane, turned around at each end."""
    draw = np.random.default_rng(seed)
    cameras = []
    for lane, y in enumerate((-1.0, 0.0, 1.0)):
        for x in np.linspace(-2, 2, 6)[:: -1 if lane % 2 else 1]:
            place = TARGET + np.array([x, y, 5.0]) + draw.normal(0, 0.05, 3)
            below = place - [0, 0, 5] + draw.normal(0, 0.1, 3)
            cameras.append(camera(place, below, np.array([-1.0 if lane % 2 else 1.0, 0, 0])))
    return cameras


def content(seed=0):
    return torch.tensor(TARGET + np.random.default_rng(seed).normal(0, 0.5, (200, 3))).float()


def centers(cameras):
    return np.stack([camera.center.numpy() for camera in cameras])


def axes(cameras, row):
    return np.stack([camera.rotation[row].numpy() for camera in cameras])


def fly(kind, cameras, frames=60):
    if kind == "train":
        return training_path(cameras, frames)
    return {"ellipse": ellipse, "spiral": spiral}[kind](cameras, content(), frames)


SCENES = {"before": before, "around": around, "above": above}
ALL = list(product(("train", "ellipse", "spiral"), SCENES))
LOOPS = list(product(("ellipse", "spiral"), SCENES))


def test_cameras_are_cameras(subtests):
    for kind, scene in ALL:
        with subtests.test(kind=kind, scene=scene):
            cameras = SCENES[scene]()
            path, lens = fly(kind, cameras, 30), replace(cameras[0], rotation=None, translation=None)
            assert len(path) == 30
            for one in path:
                assert replace(one, rotation=None, translation=None) == lens
                assert one.rotation.dtype == one.translation.dtype == torch.float32
                torch.testing.assert_close(one.rotation @ one.rotation.T, torch.eye(3), atol=1e-5, rtol=0)
                assert one.rotation.det() > 0


def test_paths_are_smooth(subtests):
    """Twice the frames: half the step, a quarter of the change of step. Sharp bends would leave it as it is."""
    for kind, scene in ALL:
        with subtests.test(kind=kind, scene=scene):
            cameras = SCENES[scene]()
            changes = []
            for frames in (100, 200):
                path = fly(kind, cameras, frames)
                poses = np.concatenate([centers(path), axes(path, 1), axes(path, 2)], axis=1)
                changes.append(np.abs(np.diff(poses, n=2, axis=0)).max())
            assert changes[1] < 0.4 * changes[0]
            assert changes[1] < 0.05


def test_paths_stay_among_the_cameras(subtests):
    for kind, scene in ALL:
        with subtests.test(kind=kind, scene=scene):
            cameras = SCENES[scene]()
            path, there = centers(fly(kind, cameras)), centers(cameras)
            spread = there.std(axis=0).max()
            assert (path > there.min(axis=0) - 0.25 * spread).all() and (path < there.max(axis=0) + 0.25 * spread).all()
            nearest = np.linalg.norm(path[:, None] - there, axis=2).min(axis=1)
            assert nearest.max() < spread
            if kind == "train":  # loops lie in a plane of their own, tilted
                assert (path >= there.min(axis=0) - 1e-5).all() and (path <= there.max(axis=0) + 1e-5).all()


def test_loops_look_at_the_scene_and_are_held_upright(subtests):
    for kind, scene in LOOPS:
        with subtests.test(kind=kind, scene=scene):
            cameras = SCENES[scene]()
            path = fly(kind, cameras)
            target = focus(cameras, content())
            directions = target - centers(path)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            assert (axes(path, 2) * directions).sum(axis=1).min() > 1 - 1e-5
            up = -axes(cameras, 1).mean(axis=0)
            assert np.abs(axes(path, 0) @ up / np.linalg.norm(up)).max() < 1e-5  # no roll
            assert (-axes(path, 1) @ up).min() > 0


def test_training_path_is_held_as_the_photos(subtests):
    for scene in ["before", "around"]:
        with subtests.test(scene=scene):
            cameras = SCENES[scene]()
            up = np.array([0, -1.0, 0]) if scene == "before" else np.array([0, 0, 1.0])
            path = training_path(cameras, 80)
            assert np.abs(axes(path, 0) @ up).max() < 0.06
            directions = TARGET - centers(path)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            assert (axes(path, 2) * directions).sum(axis=1).min() > 0.98  # the photos look there


def test_focus_is_what_the_cameras_look_at(subtests):
    for seed, scene in product(range(3), ["before", "around"]):
        with subtests.test(seed=seed, scene=scene):
            assert np.linalg.norm(focus(SCENES[scene](seed), content(seed)) - TARGET) < 0.25


def test_focus_of_parallel_axes_is_at_the_depth_of_the_points():
    away = [camera(np.array([x, 0.0, 0]), np.array([x, 0.0, 1]), np.array([0, -1.0, 0])) for x in (-1.0, 0, 1)]
    points = torch.tensor([[0.0, 0, 6], [0.1, 0, 7], [-0.1, 0, 8], [0, 0, -50]])
    np.testing.assert_allclose(focus(away, points), [0, 0, 7], atol=1e-5)
    np.testing.assert_allclose(focus(away, torch.zeros(0, 3)), [0, 0, 1], atol=1e-5)  # as far as they are apart


def test_an_ellipse_goes_around_a_scene_and_comes_back():
    path = centers(ellipse(around(), content(), 90)) - TARGET
    bearings = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    assert abs(bearings[-1] - bearings[0]) == pytest.approx(2 * math.pi * 89 / 90, abs=0.1)
    assert np.abs(path[:, 0]).max() == pytest.approx(4, abs=0.2)
    assert np.abs(path[:, 1]).max() == pytest.approx(3, abs=0.2)
    assert np.ptp(path[:, 2]) < 0.05
    rising = centers(spiral(around(), content(), 90))
    assert np.ptp(rising[:, 2]) == pytest.approx(1, abs=0.2)


def test_an_ellipse_before_a_scene_stays_before_it():
    path = centers(ellipse(before(), content(), 90))
    assert np.abs(path[:, 2]).max() < 0.3 and np.ptp(path[:, 0]) > 1.2 and 0.6 < np.ptp(path[:, 1]) < 1.2


def test_tour_untangles():
    draw = np.random.default_rng(3)
    line = np.arange(12.0)
    shuffled = draw.permutation(line)
    order = tour(np.abs(shuffled[:, None] - shuffled))
    assert np.abs(np.diff(shuffled[order])).sum() <= np.abs(np.diff(shuffled)).sum()
    for swap in combinations(range(13), 2):  # no reversal makes it shorter
        other = order[: swap[0]] + order[swap[0] : swap[1]][::-1] + order[swap[1] :]
        assert np.abs(np.diff(shuffled[other])).sum() >= np.abs(np.diff(shuffled[order])).sum() - 1e-9


def test_tour_keeps_an_order_that_is_good():
    line = np.arange(9.0)
    assert tour(np.abs(line[:, None] - line)) == list(range(9))
    for count in (1, 2, 3):
        assert tour(np.abs(line[:count, None] - line[:count])) == list(range(count))


def test_a_resting_path_rests_at_photos_and_moves_smoothly_between(subtests):
    for scene in ["before", "around"]:
        with subtests.test(scene=scene):
            cameras = SCENES[scene]()
            path = resting_path(cameras, 121, stops=5)
            assert len(path) == 121
            at_rest = [index for index, each in path if each is cameras[index]]
            visited = list(dict.fromkeys(index for index, _ in path))
            assert len(visited) == 5 and list(dict.fromkeys(at_rest)) == visited and 50 <= len(at_rest) <= 70
            moves = np.linalg.norm(np.diff(centers([each for _, each in path]), axis=0), axis=1)
            assert moves.max() < 0.1 * moves.sum() and (moves == 0).sum() >= 50
            everywhere = resting_path(cameras, 400, stops=100)
            assert {index for index, _ in everywhere} == set(range(len(cameras)))
            assert resting_path(cameras[:1], 3, stops=2) == [(0, cameras[0])] * 3


def test_a_resting_path_has_each_photos_own_lens():
    cameras = before()
    cameras[3] = replace(cameras[3], width=80, height=60, fx=99.0)
    for index, each in resting_path(cameras, 90, stops=20):
        assert (each.width, each.height, each.fx) == (cameras[index].width, cameras[index].height, cameras[index].fx)


def test_one_camera_and_cameras_in_one_place():
    (one, *_) = before()
    for some in ([one], [one, one, one]):
        for kind in ("train", "ellipse", "spiral"):
            path = fly(kind, some, 5)
            np.testing.assert_allclose(centers(path), centers([one] * 5), atol=1e-5)
            assert all(bool(each.rotation.isfinite().all()) for each in path)


def test_the_largest_photo_gives_the_picture():
    cameras = before()
    cameras[3] = replace(cameras[3], width=80, height=60, fx=99.0)
    assert {(each.width, each.fx) for each in ellipse(cameras, content(), 4)} == {(80, 99.0)}
