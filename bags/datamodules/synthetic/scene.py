"""The built-in scene: cameras in the world, photos with known blur, initial points."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from bags.datamodules.mixed_resolution import low_resolution_truth
from bags.datamodules.synthetic import blur
from bags.datamodules.synthetic.layouts import LAYOUTS, Layout
from bags.datamodules.synthetic.points import sfm_points
from bags.datamodules.synthetic.raycaster import Exposure, instant, photograph
from bags.datamodules.synthetic.world import Array, World, build_world, linear_to_srgb
from bags.settings import SyntheticSettings
from bags.types import BlurTruth, Camera, Scene, View

# Strongest blur at strength 1: streak and disc relative to the photo's width, and the factor of low resolution.
MOTION_LENGTH = 0.04
DISC_DIAMETER = 0.05
LOW_FACTOR = 3.0

_SHARP = BlurTruth("sharp", 0.0)


def make_synthetic_scene(settings: SyntheticSettings) -> Scene:
    """Build the world, take all photos and sample the points; bitwise reproducible from ``settings``.

    Training views are named ``train_000.png`` and so on, test views ``test_000.png``. Every view has its ``BlurTruth``
    and its gain. Its camera is the nominal one: for a moving camera the mean pose of the exposure, or its last one. A
    training view can be taken again sharp from there. The world and the cameras do not depend on ``blurs``,
    ``strength``, ``least`` and ``drift``: with ``strength`` 0 and ``drift`` 0 the photos are the same, but sharp.
    """
    world, train, test = _place(settings)
    rng = np.random.default_rng([settings.seed, 1])
    levels, gains = _levels(settings, rng), _gains(settings)
    photos, truths = [], []
    for index, (camera, level, gain) in enumerate(zip(train, levels, gains, strict=True)):
        kind = settings.blurs[index % len(settings.blurs)]
        light, truth = _blurred(settings, world, camera, kind, level * settings.strength, rng)
        photos.append(_encode(gain * light))
        truths.append(truth)
    points = sfm_points(
        world,
        train,
        [np.asarray(photo) / 255.0 for photo in photos],
        settings.points,
        settings.point_noise,
        np.random.default_rng([settings.seed, 2]),
    )
    sharp = [_encode(light) for light in _sharp(world, test, settings.samples)]
    views = _views("train", train, photos, truths, gains)
    return Scene(
        "synthetic",
        tuple(replace(view, sharp=partial(_taken_sharp, world, view, settings.samples)) for view in views),
        _views("test", test, sharp, [_SHARP] * len(test), [1.0] * len(test)),
        points,
    )


def render_sharp(settings: SyntheticSettings, cameras: list[Camera]) -> list[Image.Image]:
    """Sharp photos (8-bit RGB) of the built-in scene from any cameras inside its room."""
    world = _place(settings)[0]
    return [_encode(light) for light in _sharp(world, cameras, settings.samples)]


def _place(settings: SyntheticSettings) -> tuple[World, list[Camera], list[Camera]]:
    rng = np.random.default_rng([settings.seed, 0])
    layout = LAYOUTS[settings.layout]
    world = build_world(rng, layout.contents)
    train = layout.cameras(settings, settings.train_views, 1.0, rng)
    return world, train, layout.cameras(settings, settings.test_views, 0.75, rng)


def _levels(settings: SyntheticSettings, rng: np.random.Generator) -> Array:
    """(train_views,) strength of each blur, from ``least`` to 1: evenly spread within a kind, in random order."""
    kinds = [settings.blurs[index % len(settings.blurs)] for index in range(settings.train_views)]
    levels = np.empty(settings.train_views)
    for kind in dict.fromkeys(kinds):
        members = [index for index, other in enumerate(kinds) if other == kind]
        levels[members] = (rng.permutation(len(members)) + rng.random(len(members))) / len(members)
    return settings.least + (1.0 - settings.least) * levels


def _gains(settings: SyntheticSettings) -> list[float]:
    """(train_views) factors on the light, evenly spread over ``drift`` stops down and up, in random order."""
    count = settings.train_views
    order = np.random.default_rng([settings.seed, 3]).permutation(count)
    return [2.0 ** (settings.drift * (2.0 * int(place) + 1.0 - count) / count) for place in order]


def _blurred(
    settings: SyntheticSettings, world: World, camera: Camera, kind: str, level: float, rng: np.random.Generator
) -> tuple[Array, BlurTruth]:
    """(H, W, 3) linear light and the truth of its blur; ``level`` 0 is sharp, 1 the strongest blur at strength 1."""
    samples = settings.samples
    if kind == "sharp" or level == 0:
        return photograph(world, camera, instant(camera, samples)), _SHARP
    if kind == "low_resolution":
        factor = 1.0 + level * (LOW_FACTOR - 1.0)
        light = blur.low_resolution(world, camera, factor, samples)
        return light, low_resolution_truth(camera.width, camera.height, factor)
    layout = LAYOUTS[settings.layout]
    if kind == "defocus":
        exposure = _opened(layout, camera, level, samples, rng)
    else:
        motion, length = _motion(settings, kind, rng), level * MOTION_LENGTH * camera.width
        exposure = blur.shaken(camera, motion, length / 2 if kind == "roll" else length, layout.depth, samples)
    truth = blur.exposure_truth("defocus" if kind == "defocus" else "motion", world, camera, exposure)
    return photograph(world, camera, exposure), truth


def _opened(layout: Layout, camera: Camera, level: float, samples: int, rng: np.random.Generator) -> Exposure:
    """A lens that is in focus near one end of the layout's depths and has blur of ``level`` at the other end."""
    depths = 1.0 / layout.near - 1.0 / layout.far
    aperture = level * DISC_DIAMETER * camera.width / camera.fx / depths
    near, within = rng.random() < 0.5, rng.uniform(0.0, 0.25)
    focus = 1.0 / (1.0 / layout.near + (within if near else 1.0 - within) * (1.0 / layout.far - 1.0 / layout.near))
    return blur.opened(camera, aperture, focus, samples)


def _motion(settings: SyntheticSettings, kind: str, rng: np.random.Generator) -> blur.Motion:
    """How the camera moves: ``motion``, or one of its kinds."""
    motion = blur.any_motion(rng)
    if kind == "one_direction":
        angle = np.random.default_rng([settings.seed, 4]).uniform(0.0, math.pi)
        return replace(motion, angle=angle, bend=0.0, roll=0.0, zoom=0.0)
    if kind == "roll":  # half a streak in the middle, to which roll adds a whole one at the left and right edge
        return replace(motion, roll=math.copysign(4.0, motion.roll) / (1.0 - motion.share))
    if kind == "one_sided":  # forwards or backwards in time: poses are off in all directions
        return replace(motion, angle=motion.angle + math.pi * rng.integers(2), one_sided=True)
    return motion


def _sharp(world: World, cameras: list[Camera], samples: int) -> list[Array]:
    return [photograph(world, camera, instant(camera, samples)) for camera in cameras]


def _taken_sharp(world: World, view: View, samples: int) -> Image.Image:
    (light,) = _sharp(world, [view.camera], samples)
    return _encode((view.gain or 1.0) * light)


def _encode(light: Array) -> Image.Image:
    return Image.fromarray(np.round(linear_to_srgb(light) * 255.0).astype(np.uint8))


def _views(
    split: str, cameras: list[Camera], photos: list[Image.Image], truths: list[BlurTruth], gains: list[float]
) -> tuple[View, ...]:
    return tuple(
        View(f"{split}_{index:03d}.png", camera, photo.copy, truth, gain)
        for index, (camera, photo, truth, gain) in enumerate(zip(cameras, photos, truths, gains, strict=True))
    )
