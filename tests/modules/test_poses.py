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
    before = cameras(8, seed)
    generator = torch.Generator().manual_seed(seed + 10)
    turn, move = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    scale = torch.randn((), generator=generator, dtype=torch.float64)
    world = torch.linalg.matrix_exp(cross_matrices(1e-3 * turn))
    rotation = torch.stack([camera.rotation for camera in before]).double()
    translation = torch.stack([camera.translation for camera in before]).double()
    turned = rotation @ world.T  # the world is turned, then scaled, then moved
    shifted = (1 + 1e-3 * scale) * translation - turned @ (1e-3 * move)
    change = turned @ rotation.mT  # close to 1: its logarithm is its skew part, to third order
    offsets = torch.cat(
        [vee((change - change.mT) / 2), (shifted - (change @ translation[..., None])[..., 0]) / EXTENT], 1
    )
    poses = Poses(before, EXTENT, 1.0)
    poses.offsets.data.copy_(offsets)
    assert float(free(poses).norm()) < 1e-3 * float(offsets.norm())


@pytest.mark.parametrize("seed", range(3))
def test_offsets_that_are_affine_in_the_place_of_the_camera_are_taken_out(seed: int) -> None:
    before = cameras(9, seed)
    generator = torch.Generator().manual_seed(seed + 20)
    vectors, matrices = torch.randn(2, 3, generator=generator), torch.randn(2, 3, 3, generator=generator)
    poses = Poses(before, EXTENT, 1.0)
    for offset, camera in zip(poses.offsets.data, before, strict=True):
        offset.copy_((camera.rotation @ (vectors + matrices @ camera.center)[..., None]).flatten())
    assert float(free(poses).abs().max()) < 1e-5 * float(poses.offsets.detach().abs().max())


def test_along_a_line_only_the_place_on_it_counts() -> None:
    """Elsewhere, the places of the cameras are errors of the poses, which are to be corrected."""
    generator = torch.Generator().manual_seed(0)
    beside = 0.05 * torch.randn(20, 3, generator=generator)
    row = [replace(CAMERA, translation=torch.tensor([float(i), 0.0, 0.0]) + beside[i]) for i in range(20)]
    assert Poses(row, EXTENT, 1.0).drifts.shape == (120, 12)


def test_other_offsets_stay() -> None:
    poses = Poses(cameras(12, 5), EXTENT, 1.0)
    poses.offsets.data.normal_(generator=torch.Generator().manual_seed(1))
    once = free(poses)
    assert float(once.norm()) > 0.7 * float(poses.offsets.detach().norm())  # 24 of 72 directions are taken out
    poses.offsets.data.copy_(once)
    torch.testing.assert_close(free(poses), once)
    assert poses.drifts.shape == (72, 24)


@pytest.mark.parametrize("count, directions", [(1, 6), (2, 12), (6, 24)])
def test_one_or_two_cameras_keep_their_poses(count: int, directions: int) -> None:
    poses = Poses(cameras(count, 2), EXTENT, 1.0)
    assert poses.drifts.shape == (6 * count, directions)
    poses.offsets.data.normal_(generator=torch.Generator().manual_seed(3))
    assert (float(free(poses).abs().max()) < 1e-5) == (count <= 2)


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
    """Fifteen photos, of which three stand beside their true place by up to two pixels, and not as an affine drift."""
    draw = draw_with(cloud(300, 3))
    true = [
        replace(CAMERA, translation=torch.tensor([x, y, 0.0]))
        for x in (-0.4, -0.2, 0.0, 0.2, 0.4)
        for y in (-0.2, 0.0, 0.2)
    ]
    photos = [draw(camera).rgb.detach() for camera in true]
    wrong = {i: part * torch.tensor([0.05, -0.05, 0.02]) for i, part in ((4, 1), (7, -2), (10, 1))}
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
    assert error() < before / 2.5
