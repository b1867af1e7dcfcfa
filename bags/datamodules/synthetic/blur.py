"""Exposures with blur (a moving camera, a lens), a low-resolution sensor, and the ground truth of their blur."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from bags.datamodules.mixed_resolution import low_size
from bags.datamodules.synthetic.raycaster import Exposure, hit_points, instant, photograph, pose
from bags.datamodules.synthetic.world import Array, World
from bags.ops.geometry import rotation_matrices
from bags.types import BlurTruth, Camera

_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


@dataclass(frozen=True)
class Motion:
    """The shape of a streak.

    Attributes:
        angle: of its chord, radians, 0 = along +x.
        bend: how far it curves, relative to its length; 0: it is straight.
        share: part of it that comes from the camera's translation (larger for near points); the rest comes from its
            rotation (the same everywhere).
        roll: rotation about the optical axis, in radians for ``length * (1 - share)`` of a focal length.
        zoom: movement along the optical axis, relative to that across it.
        one_sided: the nominal pose is the last one of the exposure; otherwise it is the mean pose.
    """

    angle: float
    bend: float
    share: float
    roll: float
    zoom: float
    one_sided: bool = False


def any_motion(rng: np.random.Generator) -> Motion:
    """A random motion: in any direction, slightly curved, with some roll."""
    angle, bend = rng.uniform(0.0, math.pi), rng.uniform(-0.6, 0.6)
    share, roll, zoom = rng.uniform(0.3, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    return Motion(angle, bend, share, roll, zoom)


def shaken(camera: Camera, motion: Motion, length: float, depth: float, samples: int) -> Exposure:
    """A camera that moves and turns while the shutter is open.

    Args:
        camera: the nominal pose: the mean over the exposure of translation and rotation vector, or the last pose.
        motion: how it moves.
        length: of the streak in pixels, at view depth ``depth`` in the middle of the photo.
        depth: view depth in scene units at which both parts of the motion add up to ``length``.
        samples: poses, at the midpoints of equal parts of the exposure time.
    """
    time = (np.arange(samples) + 0.5) / samples - 0.5
    along = np.array([math.cos(motion.angle), math.sin(motion.angle)])
    across = motion.bend * np.array([-along[1], along[0]])
    curve = time**2 - (0.25 if motion.one_sided else np.mean(time**2))
    time = time - (0.5 if motion.one_sided else 0.0)
    path = (time[:, None] * along + curve[:, None] * across) * length / camera.fx
    share = motion.share
    shift = -share * depth * np.column_stack([path, motion.zoom * time * length / camera.fx])  # in the camera's axes
    turn = np.column_stack([-path[:, 1], path[:, 0], motion.roll * time * length / camera.fx]) * (1.0 - share)
    rotation, translation = pose(camera)
    turns = rotation_matrices(torch.from_numpy(turn)).numpy()
    return Exposure(turns @ rotation, (turns @ (translation - shift)[..., None])[..., 0], np.zeros((samples, 2)))


def opened(camera: Camera, diameter: float, focus: float, samples: int) -> Exposure:
    """A lens of the given diameter (scene units), in focus at view depth ``focus``, with its centre at ``camera``'s.

    A point at view depth z becomes a disc of ``fx * diameter * |1 / focus - 1 / z|`` pixels across.
    """
    index = np.arange(samples)
    radius, angle = 0.5 * diameter * np.sqrt((index + 0.5) / samples), index * _GOLDEN_ANGLE
    aperture = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    aperture -= aperture.mean(0)
    exposure = instant(camera, samples)
    offsets = np.column_stack([aperture, np.zeros(samples)])
    shifts = -aperture / focus * [camera.fx, camera.fy]
    return Exposure(exposure.rotations, exposure.translations - offsets, shifts)


def low_resolution(world: World, camera: Camera, factor: float, samples: int) -> Array:
    """(H, W, 3) linear light of a sensor with ``factor`` times larger pixels, enlarged to full size (bicubic).

    A large pixel averages the light over its area, so this is the sharp photo downsampled by area, at any factor.
    """
    small = camera.resized(*low_size(camera.width, camera.height, factor))
    image = photograph(world, small, instant(small, samples)).astype(np.float32)
    size = (camera.width, camera.height)
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., c])).resize(size, Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    return np.clip(np.stack(channels, -1).astype(np.float64), 0.0, None)


def exposure_truth(kind: str, world: World, camera: Camera, exposure: Exposure) -> BlurTruth:
    """Ground truth of a photo's blur, from the paths of surface points across the photo during the exposure.

    For a grid of pixels, the surface point that the nominal camera sees is projected into every camera of the exposure.
    ``amount`` is the root mean square distance from the mean position, averaged over the grid. (It does not include the
    pixel's own area, which blurs sharp photos too.) ``length`` is the mean length of the path, ``direction`` the axial
    mean of the difference of its ends (doubled angles, weighted by squared length).
    """
    rows, cols = np.meshgrid(np.linspace(0, camera.height - 1, 12), np.linspace(0, camera.width - 1, 18), indexing="ij")
    points = hit_points(world, camera, np.column_stack([cols.ravel(), rows.ravel()]))
    paths = exposure.project(camera, points)
    amount = float(np.sqrt(((paths - paths.mean(0)) ** 2).sum(-1).mean(0)).mean())
    if kind != "motion":
        return BlurTruth("defocus", amount)
    ends = paths[-1] - paths[0]
    axis = ((ends[:, 0] + 1j * ends[:, 1]) ** 2).sum()
    direction = math.degrees(np.angle(axis)) / 2.0 % 180.0
    steps = np.linalg.norm(np.diff(paths, axis=0), axis=-1).sum(0)
    count = len(paths)  # samples are midpoints: the path continues for half a step at either end
    return BlurTruth("motion", amount, float(steps.mean()) * count / (count - 1), direction)
