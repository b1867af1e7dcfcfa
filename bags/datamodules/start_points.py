"""The initial points: how many there are, and where they are if a scene has none."""

from __future__ import annotations

import torch

from bags.types import PointCloud, Scene

REACH = 3.0  # scene extents from the middle of what the cameras look at, on every axis
UNIT = 1.3  # half the side of the cube in which random points are drawn


def thinned(points: PointCloud, most: int, seed: int) -> PointCloud:
    """At most ``most`` of ``points``, drawn uniformly, in their order: dense regions stay denser."""
    if len(points.xyz) <= most:
        return points
    drawn = torch.randperm(len(points.xyz), generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return PointCloud(points.xyz[drawn], points.rgb[drawn])


def around(points: PointCloud, scene: Scene, extent: float) -> PointCloud:
    """Points of the cube [-1.3, 1.3]^3, scaled and moved to where the training cameras look.

    Args:
        points: in the cube.
        scene: of any size, anywhere.
        extent: of the scene, in scene units: about how far its cameras are from their centre.
    """
    cameras = [view.camera for view in scene.train]
    ahead = [camera.center.double() + extent * camera.rotation[2].double() for camera in cameras]
    moved = points.xyz.double() * (REACH * extent / UNIT) + torch.stack(ahead).mean(dim=0)
    return PointCloud(moved.to(points.xyz), points.rgb)
