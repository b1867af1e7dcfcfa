"""The ladder's worlds: layouts, kinds of motion, exposure drift; and the demo's photos, which stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bags.datamodules.synthetic import blur, make_synthetic_scene
from bags.datamodules.synthetic.layouts import LAYOUTS
from bags.datamodules.synthetic.points import visible
from bags.datamodules.synthetic.raycaster import hit_points, pose
from bags.datamodules.synthetic.scene import _place
from bags.datamodules.synthetic.world import srgb_to_linear
from bags.settings import SyntheticSettings
from bags.types import BlurTruth, Camera, Scene, View
from tests.datamodules.test_synthetic_blur import DEPTH, dot_world, front_camera
from tests.datamodules.test_synthetic_geometry import occupied

TINY = SyntheticSettings(width=48, height=32, train_views=6, test_views=2, points=40, samples=8, seed=21)
FLAT = blur.Motion(angle=0.3, bend=0.0, share=0.4, roll=0.0, zoom=0.0)


def pixels(view: View) -> np.ndarray:
    return np.asarray(view.load())


def truths(scene: Scene) -> list[BlurTruth]:
    return [view.blur for view in scene.train if view.blur is not None]


def streaks(motion: blur.Motion, length: float, places: np.ndarray) -> np.ndarray:
    """(S, P, 2) paths relative to the nominal pixels, of points on a wall seen ``places`` off the middle."""
    camera = front_camera()
    nominal = places + np.array([camera.cx, camera.cy])
    exposure = blur.shaken(camera, motion, length, DEPTH, 64)
    return exposure.project(camera, hit_points(dot_world(), camera, nominal)) - nominal


def test_demo_scene_does_not_change() -> None:
    """Its draws in their order: figures of before the other layouts were there."""
    kinds = ("motion", "defocus", "low_resolution", "sharp")
    settings = SyntheticSettings(width=48, height=32, train_views=4, test_views=1, points=40, samples=8, blurs=kinds)
    scene = make_synthetic_scene(settings)
    assert SyntheticSettings().layout == "room"
    assert scene.train[0].blur == BlurTruth(
        "motion", pytest.approx(0.40841930849), pytest.approx(1.42600516603), pytest.approx(77.4718208083)
    )
    means = [pixels(view).mean() for view in scene.train + scene.test]
    np.testing.assert_allclose(means, [122.6988, 122.0349, 121.3952, 127.8867, 122.2237], atol=0.01)
    np.testing.assert_allclose(scene.points.xyz.mean(0), [-0.01833987, 0.98026514, 1.15241659], atol=1e-5)
    assert all(view.gain == 1 for view in scene.train + scene.test)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cameras_stand_in_free_space_and_test_views_are_seen(layout: str) -> None:
    settings = replace(TINY, layout=layout, train_views=40 if layout == "walk_around" else 24, test_views=4)
    world, train, test = _place(settings)
    centers = np.stack([camera.center.double().numpy() for camera in train + test])
    ways = np.array([[0.3, 0, 0], [-0.3, 0, 0], [0, 0.3, 0], [0, -0.3, 0], [0, 0, 0.3], [0, 0, -0.3]])
    assert not occupied(world, (centers[:, None] + ways).reshape(-1, 3)).any()
    grid = np.stack(np.meshgrid(np.linspace(0, 47, 12), np.linspace(0, 31, 8)), -1).reshape(-1, 2)
    depths = []
    for camera in test:
        points = hit_points(world, camera, grid)
        seen = np.stack([visible(world, other, points) for other in train]).sum(0)
        assert (seen >= 2).mean() > 0.8
        rotation, translation = pose(camera)
        depths.append((points @ rotation.T + translation)[:, 2])
    nearest, farthest = np.min(depths), np.max(depths)
    assert nearest < LAYOUTS[layout].depth < farthest
    assert LAYOUTS[layout].near == pytest.approx(nearest, rel=0.35)
    assert LAYOUTS[layout].far == pytest.approx(farthest, rel=0.35)


@pytest.mark.parametrize("layout", ["walk_around", "facade", "forward_facing"])
def test_layouts_are_photographed_within_the_range_of_a_photo(layout: str) -> None:
    photos = np.stack([pixels(view) for view in make_synthetic_scene(replace(TINY, layout=layout)).train])
    assert (photos == 255).any(-1).mean() < 0.01 and (photos.max(-1) < 20).mean() < 0.01
    assert 70 < photos.mean() < 160 and photos.std() > 25


def test_the_same_world_sharp() -> None:
    """At strength 0 and without drift, whatever blurs: the photos and points of the world's sharp photos."""
    dealt = replace(TINY, layout="facade", blurs=("roll", "one_sided", "defocus"), strength=1.2, least=0.3, drift=0.5)
    sharp = make_synthetic_scene(replace(TINY, layout="facade", blurs=("sharp",)))
    again, blurred = make_synthetic_scene(replace(dealt, strength=0, drift=0)), make_synthetic_scene(dealt)
    for one, two, three in zip(sharp.train, again.train, blurred.train, strict=True):
        np.testing.assert_array_equal(pixels(one), pixels(two))
        np.testing.assert_array_equal(one.camera.translation, three.camera.translation)
        assert one.blur == two.blur == BlurTruth("sharp", 0.0) and not np.array_equal(pixels(one), pixels(three))
    np.testing.assert_array_equal(sharp.points.xyz, again.points.xyz)
    for one, three in zip(sharp.test, blurred.test, strict=True):
        np.testing.assert_array_equal(pixels(one), pixels(three))


def test_the_nominal_pose_is_the_end_of_a_one_sided_exposure() -> None:
    length, middle = 8.0, np.zeros((1, 2))
    for bend in (0.0, 0.5):
        path = streaks(replace(FLAT, bend=bend, one_sided=True), length, middle)[:, 0]
        end = path[-1] + (path[-1] - path[-2]) / 2  # the last sample is half a step before the end
        np.testing.assert_allclose(end, 0, atol=0.01)
        begin = path[0] - (path[1] - path[0]) / 2
        assert np.linalg.norm(begin) == pytest.approx(length, rel=0.01)
        both = streaks(replace(FLAT, bend=bend), length, middle)[:, 0]
        np.testing.assert_allclose(both.mean(0), 0, atol=0.01)
        np.testing.assert_allclose(path - path.mean(0), both - both.mean(0), atol=0.02)  # the same streak elsewhere


def test_one_direction_is_that_of_all_photos() -> None:
    settings = replace(TINY, layout="facade", blurs=("one_direction",), least=0.5, test_views=0)
    first, other = (truths(make_synthetic_scene(replace(settings, seed=seed))) for seed in (21, 22))
    for found in (first, other):
        turns = [(truth.direction - found[0].direction + 90) % 180 - 90 for truth in found]
        assert max(map(abs, turns)) < 1 and {truth.kind for truth in found} == {"motion"}
        assert len({truth.length for truth in found}) == len(found)
    assert abs((first[0].direction - other[0].direction + 90) % 180 - 90) > 5


def test_roll_turns_the_streak_with_its_place() -> None:
    length, places = 2.0, np.array([[0.0, 0], [20, 0], [-20, 0], [0, 15], [0, -15]])
    motion = replace(FLAT, angle=0.0, roll=10.0)
    ends = streaks(motion, length, places)[[0, -1]]
    chord = (ends[1] - ends[0]) * 64 / 63
    angle = motion.roll * (1 - motion.share) * length / front_camera().fx  # of the roll, radians
    expected = length * np.array([1.0, 0.0]) + angle * np.column_stack([-places[:, 1], places[:, 0]])
    np.testing.assert_allclose(chord, expected, atol=0.05)
    directions = np.degrees(np.arctan2(chord[:, 1], chord[:, 0]))
    assert directions[1] > 35 and directions[2] < -35 and abs(directions[0]) < 1


def test_rolled_photos_have_longer_streaks_at_their_edges() -> None:
    settings = replace(TINY, blurs=("roll",), least=1.0, strength=1.0)
    camera = _place(settings)[1][0]
    world, length = _place(settings)[0], 0.04 * camera.width
    rng = np.random.default_rng([settings.seed, 1])
    motion = blur.any_motion(rng)
    rolled = replace(motion, bend=0.0, zoom=0.0, roll=4.0 / (1 - motion.share))
    exposure = blur.shaken(camera, rolled, length / 2, 4.4, 64)
    places = np.array([[0.0, camera.cy], [camera.width - 1.0, camera.cy]])
    path = exposure.project(camera, hit_points(world, camera, places))
    chords = path[-1] - path[0]
    assert (chords[1] - chords[0])[1] == pytest.approx(2 * length, rel=0.15)  # the edges move opposite ways


def test_drift_is_a_gain_on_the_light() -> None:
    steady = make_synthetic_scene(replace(TINY, layout="facade", blurs=("motion",)))
    drifting = make_synthetic_scene(replace(TINY, layout="facade", blurs=("motion",), drift=0.5))
    gains = np.array([view.gain for view in drifting.train])
    np.testing.assert_allclose(np.sort(np.log2(gains)), 0.5 * np.array([-5, -3, -1, 1, 3, 5]) / 6)
    for plain, view in zip(steady.train, drifting.train, strict=True):
        before, after = (srgb_to_linear(pixels(v) / 255.0) for v in (plain, view))
        kept = (pixels(view) < 255) & (pixels(view) > 100)
        assert np.median(after[kept] / before[kept]) == pytest.approx(view.gain, rel=0.01)
        assert view.blur == plain.blur and plain.gain == 1
    assert [view.gain for view in drifting.test] == [1, 1]
    np.testing.assert_array_equal(pixels(drifting.test[0]), pixels(steady.test[0]))


def test_the_least_blurred_photo_has_its_share() -> None:
    settings = replace(TINY, blurs=("one_direction",), test_views=0)
    camera: Camera = make_synthetic_scene(settings).train[0].camera
    for least in (0.0, 0.5, 1.0):
        lengths = [truth.length for truth in truths(make_synthetic_scene(replace(settings, least=least)))]
        longest = 0.04 * camera.width
        assert min(lengths) > 0.75 * least * longest  # streaks are shorter on what is further away than the target
        assert max(lengths) < 1.1 * longest
        assert min(lengths) == pytest.approx(max(lengths), rel=0.15) or least < 1
