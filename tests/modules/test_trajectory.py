"""The camera's path: its poses, the blur they make, and the gradients that reach it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bags.modules.blur_estimate import estimate_blur
from bags.modules.gaussians import Gaussians
from bags.modules.trajectory import PathBlur, Paths, TrajectoryBlur
from bags.ops.light import to_linear, to_srgb
from bags.ops.moved_camera import seen_by
from bags.ops.windows import Window
from bags.rendering.choice import make_rasterizer
from bags.schedule import Phase
from bags.settings import GaussianSettings, TrajectorySettings
from bags.types import Camera, PointCloud, RenderOutput, Splats, ViewBatch

CAMERA = Camera(torch.eye(3), torch.zeros(3), 40.0, 40.0, 48, 32)
PHASE = Phase(step=1, clock=1, multi_scale=False, scale=0, divisor=1, blur=True)


def paths(poses: int = 5, order: int = 2, **coefficients: list[float]) -> Paths:
    found = Paths(1, TrajectorySettings(poses=poses, order=order, start=0.0), extent=2.0, seed=0)
    for power, values in coefficients.items():
        found.coefficients.data[0, int(power[1:]) - 1] = torch.tensor(values)
    return found


def cloud(count: int, seed: int) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    xyz = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([2.0, 1.4, 1.0]) + torch.tensor([0, 0, 3.0])
    return Gaussians(PointCloud(xyz, torch.rand(count, 3, generator=generator)), GaussianSettings(), extent=2.0)


def draw_with(gaussians: Gaussians, name: str = "reference"):
    rasterizer = make_rasterizer(name, "cpu")

    def draw(camera: Camera, splats: Splats | None = None) -> RenderOutput:
        return rasterizer(splats or gaussians.splats(), camera, sh_degree=0, background=torch.zeros(3))

    return draw


@pytest.mark.parametrize("poses, order", [(3, 1), (5, 2), (7, 3)])
def test_the_known_pose_is_the_mean_of_the_path(poses: int, order: int) -> None:
    found = Paths(3, TrajectorySettings(poses=poses, order=order, start=0.01), extent=2.0, seed=4)
    turns, shifts = found.motion(1, poses)
    torch.testing.assert_close(shifts.mean(0), torch.zeros(3), atol=1e-7, rtol=0)
    torch.testing.assert_close(turns.mean(0), torch.eye(3), atol=1e-3, rtol=0)
    assert found.coefficients.detach().std().item() == pytest.approx(0.01, rel=0.4)
    assert not torch.equal(found.coefficients[0], found.coefficients[1])


def test_times_are_the_middles_of_equal_parts_of_the_exposure() -> None:
    with torch.no_grad():
        _, shifts = paths(order=1, c1=[0, 0, 0, 0.1, 0, 0]).motion(0, 4)
    torch.testing.assert_close(shifts[:, 0], 0.1 * 2.0 * torch.tensor([-0.375, -0.125, 0.125, 0.375]))


@pytest.mark.parametrize("linear_light", [False, True])
def test_the_photo_is_the_mean_of_what_the_poses_see(linear_light: bool) -> None:
    gaussians = cloud(60, 1)
    moving = paths(poses=3, order=1, c1=[0.02, -0.03, 0.1, 0.05, 0.02, -0.04])
    draw = draw_with(gaussians)
    view = ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    seen = TrajectoryBlur(moving, gaussians, linear_light).expose(view, CAMERA, PHASE, draw)
    poses = [Camera(turn, shift, 40.0, 40.0, 48, 32) for turn, shift in zip(*moving.motion(0, 3), strict=True)]
    images = [draw(pose).rgb for pose in poses]
    if linear_light:
        expected = to_srgb(torch.stack([to_linear(image) for image in images]).mean(0))
    else:
        expected = torch.stack(images).mean(0)
    torch.testing.assert_close(seen.prediction, expected)
    torch.testing.assert_close(seen.sharp, draw(CAMERA).rgb)
    assert len(seen.renders) == 3
    assert (seen.prediction - seen.sharp).abs().max().item() > 1e-3


def test_gradients_of_the_pose_are_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    splats = Splats(
        means=random(30, 3) * 2 - 1 + torch.tensor([0, 0, 4.0]),
        scales=random(30, 3) * 0.2 + 0.1,
        rotations=random(30, 4) - 0.5,
        opacities=random(30) * 0.5 + 0.2,
        sh_dc=random(30, 1, 3),
        sh_rest=torch.zeros(30, 15, 3, dtype=torch.float64),
    )
    weights, rasterizer = random(3, 32, 48), make_rasterizer("reference", "cpu")
    rotation = torch.linalg.matrix_exp(torch.tensor([[0, -0.1, 0.2], [0.1, 0, -0.05], [-0.2, 0.05, 0]])).double()

    def seen(vector: Tensor, shift: Tensor) -> Tensor:
        x, y, z = vector
        zero = torch.zeros_like(x)
        turn = torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3))
        moved, camera = seen_by(splats, CAMERA, turn @ rotation, shift)
        background = torch.zeros(3, dtype=torch.float64)
        return (rasterizer(moved, camera, sh_degree=0, background=background).rgb * weights).sum()

    vector = torch.tensor([0.02, -0.03, 0.05], dtype=torch.float64, requires_grad=True)
    shift = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    splats.means.requires_grad_()
    splats.rotations.requires_grad_()
    found = torch.autograd.grad(seen(vector, shift), (vector, shift))
    step = 1e-6
    for which, gradient in enumerate(found):
        for axis in range(3):
            moved = [[vector.detach().clone(), shift.detach().clone()] for _ in range(2)]
            moved[0][which][axis] += step
            moved[1][which][axis] -= step
            difference = (seen(*moved[0]) - seen(*moved[1])).item() / (2 * step)
            assert gradient[axis].item() == pytest.approx(difference, rel=1e-5, abs=1e-5)


def test_the_gaussians_of_a_posed_camera_get_the_gradients_they_always_get() -> None:
    gaussians, pose = cloud(40, 2), (torch.eye(3, requires_grad=True) * 1.0, torch.zeros(3))
    draw = draw_with(gaussians)
    splats, camera = seen_by(gaussians.splats(), CAMERA, *pose)
    expected = torch.autograd.grad(draw(CAMERA).rgb.square().sum(), (gaussians.means, gaussians.rotations))
    found = torch.autograd.grad(draw(camera, splats).rgb.square().sum(), (gaussians.means, gaussians.rotations))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def even_blur(camera: Camera = CAMERA, distance: float = 4.0, **coefficients: list[float]) -> PathBlur:
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    rays = torch.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, torch.ones(rows.shape)])
    return PathBlur(camera, distance * rays.norm(dim=0), *paths(**coefficients).motion(0, 16))


def test_a_shift_across_makes_streaks_of_the_length_that_the_lens_and_the_distance_say() -> None:
    blur = even_blur(c1=[0, 0, 0, 0.3, 0, 0])  # 0.3 extents of 2 at distance 4: 40 * 0.6 / 4 = 6 pixels
    mean, covariance = blur.moments()
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    even = 6**2 / 12 * (1 - 1 / 16**2)  # of sixteen points at equal distances
    torch.testing.assert_close(covariance[0], torch.full((32, 48), even), rtol=1e-3, atol=0)
    torch.testing.assert_close(covariance[1:], torch.zeros(2, 32, 48), atol=1e-4, rtol=0)
    estimate = estimate_blur(blur, torch.rand(3, 32, 48), blur.distance)
    assert (estimate.kind, estimate.mask) == ("motion", 1.0)
    assert estimate.length == pytest.approx(6, rel=0.01)
    assert math.sin(math.radians(estimate.direction)) == pytest.approx(0, abs=0.02)


def test_kernels_lie_along_the_way_that_the_light_comes() -> None:
    blur = even_blur(c1=[0, 0, 0, 0, 0.3, 0])
    kernel = blur.kernels_at(torch.tensor([16]), torch.tensor([24]))[0]
    middle = blur.reach
    assert kernel.shape == (blur.kernel_size, blur.kernel_size)
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    assert float(kernel[:, middle].sum()) == pytest.approx(1.0, abs=0.05)  # a column: the camera moves down
    assert float(kernel[middle - 2 : middle + 3, middle].min()) > 0.1


def test_roll_is_motion_and_nothing_in_the_middle() -> None:
    blur = even_blur(c1=[0, 0, 0.3, 0, 0, 0])
    _, covariance = blur.moments()
    spread = covariance[0] + covariance[2]
    assert float(spread[15:17, 23:25].max()) < 0.05 * float(spread[0, 0])
    assert estimate_blur(blur, torch.rand(3, 32, 48), blur.distance).kind == "motion"


def test_a_camera_that_rests_blurs_nothing() -> None:
    blur = even_blur()
    assert estimate_blur(blur, torch.rand(3, 32, 48), blur.distance).kind == "sharp"
    kernel = blur.kernels_at(torch.tensor([3]), torch.tensor([5]))[0]
    assert float(kernel[blur.reach, blur.reach]) == pytest.approx(1.0, abs=1e-4)


def test_parts_of_a_photo_make_the_blur_of_the_whole() -> None:
    motion = {"c1": [0.02, 0.1, 0.2, 0.05, 0.02, 0.1], "c2": [0.1, 0, 0, 0, 0.1, 0]}
    whole = even_blur(**motion)
    left, right = even_blur(CAMERA.cropped(0, 0, 32, 32), **motion), even_blur(CAMERA.cropped(32, 0, 16, 32), **motion)
    built = right.room(32, 48)
    built.take(left, Window(0, 0, 32, 32))
    built.take(right, Window(32, 0, 16, 32))
    for one, other in zip(built.moments(), whole.moments(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
