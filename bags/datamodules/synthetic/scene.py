"""The built-in scene: cameras around the world, photos with known blur, points to start from."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from bags.datamodules.mixed_resolution import low_resolution_truth
from bags.datamodules.synthetic import blur
from bags.datamodules.synthetic.points import sfm_points
from bags.datamodules.synthetic.raycaster import instant, photograph
from bags.datamodules.synthetic.world import Array, World, build_world, linear_to_srgb
from bags.settings import SyntheticSettings
from bags.types import BlurTruth, Camera, Scene, View

# Strongest blur at strength 1: streak and disc in parts of the photo's width, larger pixels by this factor.
MOTION_LENGTH = 0.04
DISC_DIAMETER = 0.05
LOW_FACTOR = 3.0

_TARGET = np.array([0.0, 0.4, 0.9])
_DEPTH = 4.4  # of the target, seen from the cameras
_NEAR, _FAR = 3.0, 6.5  # view depths of the nearest solids and of the back wall
_SHARP = BlurTruth("sharp", 0.0)


def make_synthetic_scene(settings: SyntheticSettings) -> Scene:
    """Builds the world, takes all photos and samples the points; a function of ``settings`` alone, bit for bit.

    Training views are named ``train_000.png`` and so on, test views ``test_000.png``; every view knows its
    ``BlurTruth``, and its camera is the nominal one (for a moving camera the mean pose of the exposure).
    """
    world, train, test = _layout(settings)
    rng = np.random.default_rng([settings.seed, 1])
    levels = _levels(settings, rng)
    photos, truths = [], []
    for index, (camera, level) in enumerate(zip(train, levels, strict=True)):
        kind = settings.blurs[index % len(settings.blurs)]
        light, truth = _blurred(world, camera, kind, level * settings.strength, settings.samples, rng)
        photos.append(_encode(light))
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
    return Scene(
        "synthetic",
        _views("train", train, photos, truths),
        _views("test", test, sharp, [_SHARP] * len(test)),
        points,
    )


def render_sharp(settings: SyntheticSettings, cameras: list[Camera]) -> list[Image.Image]:
    """Sharp photos (RGB, 8 bit) of the built-in scene from any cameras inside its room."""
    world = _layout(settings)[0]
    return [_encode(light) for light in _sharp(world, cameras, settings.samples)]


def _layout(settings: SyntheticSettings) -> tuple[World, list[Camera], list[Camera]]:
    rng = np.random.default_rng([settings.seed, 0])
    world = build_world(rng)
    train = _cameras(settings, settings.train_views, 1.0, rng)
    return world, train, _cameras(settings, settings.test_views, 0.75, rng)


def _cameras(settings: SyntheticSettings, count: int, spread: float, rng: np.random.Generator) -> list[Camera]:
    """Cameras in a sector of a ring around the target: spread over azimuth and height, at slightly varying distance."""
    place = (rng.random(2) + np.arange(count)[:, None] * [0.7548776662466927, 0.5698402909980532]) % 1.0 * 2.0 - 1.0
    azimuth, height = np.radians(27.0) * spread * place[:, 0], 0.75 + 0.55 * spread * place[:, 1]
    distance = _DEPTH + 0.2 * spread * rng.uniform(-1.0, 1.0, count)
    offset = np.column_stack([np.sin(azimuth), -np.cos(azimuth), np.zeros(count)]) * distance[:, None]
    centers = _TARGET + offset + np.array([0.0, 0.0, 1.0]) * height[:, None]
    targets = _TARGET + 0.12 * spread * rng.uniform(-1.0, 1.0, (count, 3))
    return [_look_at(settings, center, target) for center, target in zip(centers, targets, strict=True)]


def _look_at(settings: SyntheticSettings, center: Array, target: Array) -> Camera:
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    focal = float(settings.width)
    return Camera(
        torch.from_numpy(rotation).float(),
        torch.from_numpy(-rotation @ center).float(),
        focal,
        focal,
        settings.width,
        settings.height,
    )


def _levels(settings: SyntheticSettings, rng: np.random.Generator) -> Array:
    """(train_views,) how much each view is blurred, in (0, 1): spread evenly within each kind, in random order."""
    kinds = [settings.blurs[index % len(settings.blurs)] for index in range(settings.train_views)]
    levels = np.empty(settings.train_views)
    for kind in dict.fromkeys(kinds):
        members = [index for index, other in enumerate(kinds) if other == kind]
        levels[members] = (rng.permutation(len(members)) + rng.random(len(members))) / len(members)
    return levels


def _blurred(
    world: World, camera: Camera, kind: str, level: float, samples: int, rng: np.random.Generator
) -> tuple[Array, BlurTruth]:
    """(H, W, 3) linear light and what blurred it; ``level`` 0 is sharp, 1 the strongest of the defaults."""
    if kind == "sharp" or level == 0:
        return photograph(world, camera, instant(camera, samples)), _SHARP
    if kind == "low_resolution":
        factor = 1.0 + level * (LOW_FACTOR - 1.0)
        light = blur.low_resolution(world, camera, factor, samples)
        return light, low_resolution_truth(camera.width, camera.height, factor)
    if kind == "motion":
        exposure = blur.shaken(camera, level * MOTION_LENGTH * camera.width, _DEPTH, rng, samples)
    else:
        aperture = level * DISC_DIAMETER * camera.width / camera.fx / (1.0 / _NEAR - 1.0 / _FAR)
        near, within = rng.random() < 0.5, rng.uniform(0.0, 0.25)
        focus = 1.0 / (1.0 / _NEAR + (within if near else 1.0 - within) * (1.0 / _FAR - 1.0 / _NEAR))
        exposure = blur.opened(camera, aperture, focus, samples)
    return photograph(world, camera, exposure), blur.exposure_truth(kind, world, camera, exposure)


def _sharp(world: World, cameras: list[Camera], samples: int) -> list[Array]:
    return [photograph(world, camera, instant(camera, samples)) for camera in cameras]


def _encode(light: Array) -> Image.Image:
    return Image.fromarray(np.round(linear_to_srgb(light) * 255.0).astype(np.uint8))


def _views(split: str, cameras: list[Camera], photos: list[Image.Image], truths: list[BlurTruth]) -> tuple[View, ...]:
    return tuple(
        View(f"{split}_{index:03d}.png", camera, photo.copy, truth)
        for index, (camera, photo, truth) in enumerate(zip(cameras, photos, truths, strict=True))
    )
