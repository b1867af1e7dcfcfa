"""The whole built-in scene, at tiny sizes: determinism, kinds of blur, light, points, settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bags.datamodules.synthetic import make_synthetic_scene, render_sharp
from bags.datamodules.synthetic.world import Shape, World, build_world, srgb_to_linear
from bags.errors import SettingError
from bags.settings import SyntheticSettings
from bags.types import Scene, View

TINY = SyntheticSettings(width=48, height=32, train_views=9, test_views=3, points=150, samples=24)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_synthetic_scene(TINY)


def pixels(view: View) -> np.ndarray:
    return np.asarray(view.load())


def sharp(views: tuple[View, ...]) -> list[np.ndarray]:
    return [np.asarray(image) for image in render_sharp(TINY, [view.camera for view in views])]


def test_scene_is_complete(scene: Scene) -> None:
    assert [view.name for view in scene.train] == [f"train_{i:03d}.png" for i in range(9)]
    assert [view.name for view in scene.test] == [f"test_{i:03d}.png" for i in range(3)]
    for view in scene.train + scene.test:
        image = view.load()
        assert image.mode == "RGB" and image.size == (48, 32) == (view.camera.width, view.camera.height)
        assert view.camera.rotation.dtype == torch.float32
        torch.testing.assert_close(view.camera.rotation @ view.camera.rotation.T, torch.eye(3), atol=1e-6, rtol=0)
    assert [view.blur.kind for view in scene.train if view.blur] == ["motion", "defocus", "low_resolution"] * 3


def test_load_gives_a_copy(scene: Scene) -> None:
    scene.train[0].load().paste((0, 0, 0), (0, 0, 48, 32))
    assert pixels(scene.train[0]).max() > 0


def test_same_seed_same_bytes_other_seed_other_scene(scene: Scene) -> None:
    again, other = make_synthetic_scene(TINY), make_synthetic_scene(replace(TINY, seed=8))
    for first, second in zip(scene.train + scene.test, again.train + again.test, strict=True):
        assert pixels(first).tobytes() == pixels(second).tobytes()
        assert first.blur == second.blur
        assert torch.equal(first.camera.translation, second.camera.translation)
    assert torch.equal(scene.points.xyz, again.points.xyz)
    assert torch.equal(scene.points.rgb, again.points.rgb)
    assert not np.array_equal(pixels(scene.train[0]), pixels(other.train[0]))
    assert not torch.equal(scene.points.xyz, other.points.xyz)


def test_results_do_not_depend_on_the_number_of_threads(scene: Scene) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = make_synthetic_scene(TINY)
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(scene.train, again.train, strict=True))
    assert torch.equal(scene.points.xyz, again.points.xyz)


def test_test_views_are_sharp_and_within_the_training_range(scene: Scene) -> None:
    for view, image in zip(scene.test, sharp(scene.test), strict=True):
        assert view.blur is not None and view.blur.kind == "sharp" and view.blur.amount == 0
        np.testing.assert_array_equal(pixels(view), image)
    train = torch.stack([view.camera.center for view in scene.train])
    for view in scene.test:
        assert (view.camera.center[[0, 2]] >= train.amin(0)[[0, 2]]).all()
        assert (view.camera.center[[0, 2]] <= train.amax(0)[[0, 2]]).all()
        assert (train - view.camera.center).norm(dim=1).min() > 1e-3


def test_strength_zero_is_sharp() -> None:
    scene = make_synthetic_scene(replace(TINY, strength=0))
    for view, image in zip(scene.train, sharp(scene.train), strict=True):
        assert view.blur is not None and view.blur.kind == "sharp" and view.blur.amount == 0
        np.testing.assert_array_equal(pixels(view), image)


@pytest.mark.parametrize("kind", ["motion", "defocus", "low_resolution", "sharp"])
def test_every_kind_alone(kind: str) -> None:
    scene = make_synthetic_scene(replace(TINY, blurs=(kind,), test_views=0, strength=1.5))
    assert scene.test == ()
    amounts, errors = [], []
    for view, image in zip(scene.train, sharp(scene.train), strict=True):
        assert view.blur is not None and view.blur.kind == kind
        assert (view.blur.length > 0) == (kind == "motion")
        amounts.append(view.blur.amount)
        errors.append(float(((pixels(view) - image.astype(float)) ** 2).mean()))
    if kind == "sharp":
        assert max(amounts) == max(errors) == 0
        return
    assert len(set(amounts)) > 3 and max(amounts) > 2.5 * min(amounts)
    # More blur, more difference to the sharp photo: rank correlation, measured 0.95 and more.
    ranks = [np.argsort(np.argsort(values)) for values in (amounts, errors)]
    assert np.corrcoef(*ranks)[0, 1] > 0.8


def test_strength_scales_the_blur() -> None:
    weak, strong = (make_synthetic_scene(replace(TINY, strength=s, blurs=("motion", "defocus"))) for s in (0.5, 1.0))
    for one, two in zip(weak.train, strong.train, strict=True):
        assert one.blur is not None and two.blur is not None
        assert two.blur.amount == pytest.approx(2 * one.blur.amount, rel=0.02)


def test_light_is_averaged_before_it_is_encoded() -> None:
    settings = replace(TINY, blurs=("low_resolution",), strength=2.0, width=96, height=64, points=4)
    scene = make_synthetic_scene(settings)
    photos = [pixels(view) / 255.0 for view in scene.train]
    truth = [np.asarray(p) / 255.0 for p in render_sharp(settings, [view.camera for view in scene.train])]
    light, sharp_light = srgb_to_linear(np.stack(photos)).mean(), srgb_to_linear(np.stack(truth)).mean()
    # Blur keeps the mean light (measured: 0.2 %) and so raises the mean code value (by 3 %).
    assert light == pytest.approx(sharp_light, rel=0.005)
    assert np.mean(photos) > 1.015 * np.mean(truth)


def test_exposures_keep_the_mean_light() -> None:
    scene = make_synthetic_scene(replace(TINY, blurs=("motion", "defocus")))
    light = np.array([srgb_to_linear(pixels(view) / 255.0).mean() for view in scene.train])
    truth = np.array([srgb_to_linear(image / 255.0).mean() for image in sharp(scene.train)])
    np.testing.assert_allclose(light, truth, rtol=0.02)  # light crosses the border: measured 0.7 %


def distance_to_surfaces(world: World, points: np.ndarray) -> np.ndarray:
    """(P,) distance of points (P, 3) to the nearest surface, by the solids' signed distance functions."""
    best = np.full(len(points), np.inf)
    for shape, solid in zip(world.shapes, world.solids, strict=True):
        dx, dy, dz = (points - solid[:3]).T
        local = np.column_stack([solid[6] * dx + solid[7] * dy, solid[6] * dy - solid[7] * dx, dz])
        if shape == Shape.BALL:
            signed = np.linalg.norm(local, axis=1) - solid[3]
        else:
            excess = np.abs(local) - solid[3:6]
            if shape == Shape.CYLINDER:
                excess = np.column_stack([np.linalg.norm(local[:, :2], axis=1) - solid[3], excess[:, 2]])
            signed = np.linalg.norm(np.maximum(excess, 0), axis=1) + np.minimum(excess.max(1), 0)
        best = np.minimum(best, np.abs(signed))
    return best


def test_points_lie_near_surfaces_and_in_three_views(scene: Scene) -> None:
    world = build_world(np.random.default_rng([TINY.seed, 0]))
    exact = make_synthetic_scene(replace(TINY, point_noise=0.0))
    assert scene.points.xyz.shape == scene.points.rgb.shape == exact.points.xyz.shape == (150, 3)
    assert distance_to_surfaces(world, exact.points.xyz.double().numpy()).max() < 1e-5
    noisy = distance_to_surfaces(world, scene.points.xyz.double().numpy())
    # The normal component of the noise: |N(0, 0.01)| has the median 0.0067.
    assert 0.004 < np.median(noisy) < 0.009
    assert noisy.max() < 0.05
    counts = torch.zeros(150)
    for view in scene.train:
        camera = view.camera
        local = exact.points.xyz @ camera.rotation.T + camera.translation
        x = camera.fx * local[:, 0] / local[:, 2] + camera.cx
        y = camera.fy * local[:, 1] / local[:, 2] + camera.cy
        slack = 1e-3
        inside = (x > -slack) & (x < camera.width - 1 + slack) & (y > -slack) & (y < camera.height - 1 + slack)
        counts += inside & (local[:, 2] > 0)
    assert counts.min() >= 3


def test_points_have_the_colours_of_the_photos() -> None:
    settings = replace(TINY, strength=0, point_noise=0)
    scene = make_synthetic_scene(settings)
    view = scene.train[0]
    local = scene.points.xyz @ view.camera.rotation.T + view.camera.translation
    x = (view.camera.fx * local[:, 0] / local[:, 2] + view.camera.cx).numpy()
    y = (view.camera.fy * local[:, 1] / local[:, 2] + view.camera.cy).numpy()
    own = (np.abs(x - x.round()) < 1e-3) & (np.abs(y - y.round()) < 1e-3)
    own &= (x > -0.5) & (x < 47.5) & (y > -0.5) & (y < 31.5)
    assert own.sum() >= 5  # those that were traced from this view
    photo = pixels(view)[y[own].round().astype(int), x[own].round().astype(int)] / 255.0
    np.testing.assert_allclose(scene.points.rgb.numpy()[own], photo, atol=1e-6)


def test_two_views_are_enough() -> None:
    scene = make_synthetic_scene(replace(TINY, train_views=2, test_views=0, width=16, height=16))
    assert len(scene.train) == 2
    assert len(scene.points.xyz) > 0


def test_impossible_settings_name_their_key(subtests: pytest.Subtests) -> None:
    nan = float("nan")
    impossible = {
        "width": [8],
        "height": [0],
        "train_views": [1],
        "test_views": [-1],
        "samples": [1],
        "points": [0],
        "point_noise": [-1.0],
        "seed": [-1],
        "blurs": [(), ("fog",)],
        "strength": [-0.5, 4.1, nan],
        "layout": ["beach"],
        "least": [1.1, -0.1],
        "drift": [3.1, nan],
    }
    for key, value in [(key, value) for key, values in impossible.items() for value in values]:
        with subtests.test(key, value=value), pytest.raises(SettingError, match=f"dataset.synthetic.{key}"):
            SyntheticSettings(**{key: value})  # type: ignore[arg-type]
