"""Photographs of the world: the mean over the rays of an exposure, in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bags.datamodules.synthetic.world import Array, World
from bags.ops.threads import piece_count, run_pieces
from bags.types import Camera

# Offsets of the low-discrepancy sequence frac(n * alpha), alpha_k = g^-k with g the real root of g^5 = g + 1
# (the generalised golden ratio): four dimensions, two inside the pixel and two over the light.
_ALPHAS = 1.1673039782614187 ** -np.arange(1.0, 5.0)


@dataclass(frozen=True)
class Exposure:
    """What one photo averages over: S pinhole cameras with slightly different poses.

    A lens is an exposure too: pinholes at points (a, b) of the aperture, with images shifted so that all agree on the
    plane in focus. ``rotations`` (S, 3, 3) and ``translations`` (S, 3) map world to camera; ``shifts`` (S, 2) are in
    pixels: camera s sees pixel ``u`` of the photo at ``u + shift``.
    """

    rotations: Array
    translations: Array
    shifts: Array

    @property
    def centers(self) -> Array:
        """(S, 3) camera centres in the world."""
        return -np.einsum("sji,sj->si", self.rotations, self.translations)

    def project(self, camera: Camera, points: Array) -> Array:
        """(S, P, 2) pixels of the photo at which the cameras see world points (P, 3)."""
        local = np.einsum("sij,pj->spi", self.rotations, points) + self.translations[:, None]
        focal, principal = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        return local[..., :2] / local[..., 2:] * focal + principal - self.shifts[:, None]


def pose(camera: Camera) -> tuple[Array, Array]:
    """World-to-camera rotation (3, 3) and translation (3,) in float64."""
    return camera.rotation.double().cpu().numpy(), camera.translation.double().cpu().numpy()


def instant(camera: Camera, samples: int) -> Exposure:
    """``samples`` times the same pinhole camera: a sharp photo."""
    rotation, translation = pose(camera)
    return Exposure(
        np.repeat(rotation[None], samples, 0), np.repeat(translation[None], samples, 0), np.zeros((samples, 2))
    )


def photograph(world: World, camera: Camera, exposure: Exposure) -> Array:
    """(H, W, 3) linear light: the mean over the exposure's cameras, each casting one ray per pixel.

    The rays are spread over the pixel's area (antialiasing), and their shadow rays over the light (soft shadows), in a
    fixed pattern.
    """
    from bags.datamodules.synthetic import kernels  # imports Numba

    samples = len(exposure.shifts)
    spread = (0.5 + np.arange(1, samples + 1)[:, None] * _ALPHAS) % 1.0 - 0.5
    lights = np.repeat(world.light[None], samples, 0)
    lights[:, :2] += 2.0 * world.light_radius * spread[:, 2:]
    image = np.empty((camera.height, camera.width, 3))
    run_pieces(
        kernels.photograph,
        piece_count(camera.height, 1),
        world,
        exposure.centers,
        np.ascontiguousarray(exposure.rotations),
        exposure.shifts + spread[:, :2],
        lights,
        (camera.fx, camera.fy),
        (camera.cx, camera.cy),
        image,
    )
    return image


def rays(camera: Camera, pixels: Array) -> tuple[Array, Array]:
    """World origins and directions (both (P, 3), directions of view-space depth 1) through pixels (P, 2)."""
    rotation, translation = pose(camera)
    local = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    directions = np.concatenate([local, np.ones((len(pixels), 1))], 1) @ rotation
    return np.broadcast_to(-rotation.T @ translation, directions.shape).copy(), directions


def hit_points(world: World, camera: Camera, pixels: Array) -> Array:
    """(P, 3) first surface points that the camera sees through pixels (P, 2)."""
    from bags.datamodules.synthetic import kernels  # imports Numba

    origins, directions = rays(camera, pixels)
    hits = np.empty(len(pixels))
    run_pieces(kernels.first_hits, piece_count(len(pixels), 1000), world, origins, directions, hits)
    return origins + hits[:, None] * directions
