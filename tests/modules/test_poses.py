"""Refined poses: what they may correct, and what stays out of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bags.modules.poses import Poses
from bags.ops.geometry import cross_matrices, rotation_matrices
from bags.types import Camera
from tests.modules.test_camera_blur import CAMERA, cloud, draw_with

EXTENT = 3.0


def cameras(count: int, seed: int) -> list[Camera]:
    generator = torch.Generator().manual_seed(seed)
    turns = rotation_matrices(torch.randn(count, 3, generator=generator))
    shifts = torch.randn(count, 3, generator=generator) * 2
    return [replace(CAMERA, rotation=turn, translation=shift) for turn, shift in zip(turns, shifts, strict=True)]


def free(poses: Poses) -> Tensor:
    """(N, 6) what the offsets mean."""
    return torch.stack([poses.free(view) for view in range(len(poses.offsets))]).detach()


def vee(matrices: Tensor) -> Tensor:
    """(N, 3) of skew-symmetric matrices (N, 3, 3)."""
    return torch.stack([matrices[:, 2, 1], matrices[:, 0, 2], matrices[:, 1, 0]], dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_a_similarity_of_the_whole_scene_is_taken_out(seed: int) -> None:
    """To first order: a ten times smaller one leaves a hundred times less."""
    before = cameras(8, seed)
    generator = torch.Generator().manual_seed(seed + 10)
    turn, move = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    scale = torch.randn((), generator=generator, dtype=torch.float64)
    left = []
    for size in (1e-2, 1e-3):
        world = torch.linalg.matrix_exp(cross_matrices(size * turn))
        rotation = torch.stack([camera.rotation for camera in before]).double()
        translation = torch.stack([camera.translation for camera in before]).double()
        turned = rotation @ world.T  # the world is turned, then scaled, then moved
        shifted = (1 + size * scale) * translation - turned @ (size * move)
        change = turned @ rotation.mT  # close to 1: its logarithm is its skew part, to third order
        offsets = torch.cat(
            [vee((change - change.mT) / 2), (shifted - (change @ translation[..., None])[..., 0]) / EXTENT], 1
        )
        poses = Poses(before, EXTENT, 1.0)
        poses.offsets.data.copy_(offsets)
        left.append(float(free(poses).norm()))
        assert left[-1] < 0.05 * float(offsets.norm())
    assert left[1] < left[0] / 50


def test_other_offsets_stay() -> None:
    poses = Poses(cameras(12, 5), EXTENT, 1.0)
    poses.offsets.data.normal_(generator=torch.Generator().manual_seed(1))
    once = free(poses)
    assert float(once.norm()) > 0.8 * float(poses.offsets.detach().norm())  # 7 of 72 directions are taken out
    poses.offsets.data.copy_(once)
    torch.testing.assert_close(free(poses), once)
    assert poses.similarities.shape == (72, 7)


@pytest.mark.parametrize("count, directions", [(1, 6), (2, 7)])
def test_one_camera_cannot_be_told_from_a_moved_scene(count: int, directions: int) -> None:
    poses = Poses(cameras(count, 2), EXTENT, 1.0)
    assert poses.similarities.shape == (6 * count, directions)
    poses.offsets.data.fill_(0.1)
    assert (float(free(poses).abs().max()) < 1e-6) == (count == 1)


def test_offsets_are_in_pixels() -> None:
    given = cameras(5, 4)
    one, other = Poses(given, EXTENT, 1.0), Poses(given, EXTENT, pixel=0.01)
    other.offsets.data.normal_(generator=torch.Generator().manual_seed(2))
    one.offsets.data.copy_(other.offsets.detach() * 0.01)
    torch.testing.assert_close(one.of(2, given[2]).rotation, other.of(2, given[2]).rotation)
    torch.testing.assert_close(one.of(2, given[2]).translation, other.of(2, given[2]).translation)


def test_a_given_pose_is_kept_to_begin_with() -> None:
    given = cameras(3, 4)
    found = Poses(given, EXTENT, 1.0).of(1, given[1])
    torch.testing.assert_close(found.rotation, given[1].rotation)
    torch.testing.assert_close(found.translation, given[1].translation)
    assert found.rotation.requires_grad and found.translation.requires_grad


def test_a_displaced_photo_finds_its_place() -> None:
    """Six photos, two of which stand beside their true place by about a pixel and a half."""
    draw = draw_with(cloud(300, 3))
    true = [replace(CAMERA, translation=torch.tensor([x, y, 0.0])) for x in (-0.3, 0.0, 0.3) for y in (-0.2, 0.2)]
    photos = [draw(camera).rgb.detach() for camera in true]
    wrong = {1: torch.tensor([0.1, 0.0, 0.0]), 4: torch.tensor([0.0, -0.1, 0.05])}
    given = [replace(camera, translation=camera.translation + wrong.get(i, 0)) for i, camera in enumerate(true)]
    poses = Poses(given, EXTENT, 1.0)
    adam = torch.optim.Adam([poses.offsets], lr=3e-3)

    def error() -> float:
        """How far apart the cameras see the scene's middle, each measured from where it belongs, scene units."""
        places = [camera.rotation @ torch.tensor([0, 0, 3.0]) + camera.translation for camera in true]
        with torch.no_grad():
            found = [poses.of(i, camera) for i, camera in enumerate(given)]
        seen = [camera.rotation @ torch.tensor([0, 0, 3.0]) + camera.translation for camera in found]
        away = torch.stack([(a - b)[:2] for a, b in zip(places, seen, strict=True)])
        return float((away - away.mean(0)).norm(dim=1).mean())  # a shift of all photos does not show in them

    before = error()
    for _ in range(60):
        adam.zero_grad()
        for i, photo in enumerate(photos):
            (draw(poses.of(i, given[i])).rgb - photo).abs().mean().backward()
        adam.step()
    assert error() < before / 3
