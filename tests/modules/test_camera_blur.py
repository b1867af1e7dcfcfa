"""The camera's path and lens: the poses, the blur they make, and the gradients that reach them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from bags.modules.blur_estimate import estimate_blur
from bags.modules.camera_blur import EMPTY, INSTANTS, CameraBlur, distance_of
from bags.modules.gaussians import Gaussians
from bags.modules.lens import Lenses
from bags.modules.optical_blur import OpticalBlur
from bags.modules.trajectory import Paths, instants
from bags.ops.geometry import rotation_matrices
from bags.ops.light import to_linear, to_srgb
from bags.ops.windows import Window
from bags.rendering.choice import make_rasterizer
from bags.schedule import Phase
from bags.settings import GaussianSettings, LensSettings, TrajectorySettings
from bags.types import Camera, PointCloud, RenderOutput, Splats, ViewBatch

CAMERA = Camera(torch.eye(3), torch.zeros(3), 40.0, 40.0, 48, 32)
PHASE = Phase(step=1, clock=1, multi_scale=False, scale=0, divisor=1, blur=True)


def paths(order: int = 2, **coefficients: list[float]) -> Paths:
    found = Paths(1, TrajectorySettings(order=order, start=0.0), extent=2.0, seed=0, pixel=1.0)
    found.used.fill_(1)
    for power, values in coefficients.items():
        found.coefficients.data[0, int(power[1:]) - 1] = torch.tensor(values)
    return found


def cloud(count: int, seed: int) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    xyz = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([2.0, 1.4, 1.0]) + torch.tensor([0, 0, 3.0])
    return Gaussians(PointCloud(xyz, torch.rand(count, 3, generator=generator)), GaussianSettings(), extent=2.0)


def wall(count: int, seed: int) -> Gaussians:
    """4 units away; so faint that it hardly matters which Gaussian comes first."""
    generator = torch.Generator().manual_seed(seed)
    xyz = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([6.0, 4.0, 0.0]) + torch.tensor([0, 0, 4.0])
    gaussians = Gaussians(PointCloud(xyz, torch.rand(count, 3, generator=generator)), GaussianSettings(), extent=2.0)
    gaussians.log_scales.data.fill_(math.log(0.25))
    gaussians.opacity_logits.data.fill_(-3.0)
    return gaussians


def draw_with(gaussians: Gaussians, name: str = "reference"):
    rasterizer = make_rasterizer(name, "cpu")

    def draw(camera: Camera) -> RenderOutput:
        return rasterizer(gaussians.splats(), camera, sh_degree=0, background=torch.zeros(3))

    return draw


def test_the_known_pose_is_the_mean_of_the_path(subtests: pytest.Subtests) -> None:
    for order in [1, 2, 3]:
        with subtests.test(order=order):
            found = Paths(3, TrajectorySettings(order=order, start=0.01), extent=2.0, seed=4, pixel=1.0)
            found.used.fill_(1)
            assert found.moments is not None and not found.moments.any()
            for count in (3, 7):
                times, weights = instants(count)
                turns, shifts = found.motion(1, times)
                torch.testing.assert_close(weights @ shifts, torch.zeros(3), atol=1e-7, rtol=0)
                torch.testing.assert_close(torch.einsum("t,tij->ij", weights, turns), torch.eye(3), atol=1e-3, rtol=0)
            assert found.coefficients.detach().std().item() == pytest.approx(0.01, rel=0.4)
            assert not torch.equal(found.coefficients[0], found.coefficients[1])


@pytest.mark.parametrize("focal", [50.0, 800.0])
def test_the_same_numbers_blur_as_many_pixels_whatever_the_focal_length(focal: float) -> None:
    """A turn by 3 units moves the middle of the photo by 3 pixels; a lens of 2 units spreads it by 2."""
    camera = replace(CAMERA, fx=focal, fy=focal)
    path = Paths(1, TrajectorySettings(order=1, start=0.0), 2.0, 0, pixel=1 / focal)
    path.coefficients.data[0, 0, 1] = 3.0
    optics = Lenses(1, LensSettings(start=0.0), torch.tensor([0.0, 0.0, 4.0]), 0, pixel=1 / focal)
    optics.numbers.data[0] = torch.tensor([0.0, 0.0, 2.0])
    model = CameraBlur(path, optics, TrajectorySettings(), linear_light=True)
    view, distance = ViewBatch(camera, torch.zeros(3, 32, 48), 0, "a.png", step=1), torch.full((32, 48), 4.0)
    disc, soft = (part.detach() for part in optics.variance(0, distance, camera))
    torch.testing.assert_close(soft.sqrt(), torch.tensor(2.0))
    covariance = model.blur_of(view, distance, disc, soft).moments()[1]
    assert float(covariance[0, 16, 24]) == pytest.approx(9 / 12 + 4, rel=0.02)  # of a streak, and of the lens


def test_the_known_pose_may_be_at_an_end_of_the_path(subtests: pytest.Subtests) -> None:
    """The same path, seen from another of its poses: between any two instants the camera moves as it did.

    If moments are learned, the known pose is at the end of the path without its bend.
    """
    times, quarter = torch.tensor([-0.5, 0.1, 0.5]), torch.pi / 2
    for order, (pose, moment, known) in product(
        [1, 2, 3], [("end", 0.0, 2), ("learned", quarter, 2), ("learned", -quarter, 0)]
    ):
        with subtests.test(order=order, pose=pose, moment=moment):
            settings = {"order": order, "start": 0.01}
            mean, end = (Paths(3, TrajectorySettings(**settings, pose=name), 2.0, 4, 1.0) for name in ("mean", pose))
            mean.used.fill_(1), end.used.fill_(1)
            if end.moments is not None:
                end.moments.data[1] = moment
            (turns, shifts), (turns_of_mean, shifts_of_mean) = end.motion(1, times), mean.motion(1, times)
            torch.testing.assert_close(shifts[1] - shifts[0], shifts_of_mean[1] - shifts_of_mean[0])
            moved, expected = turns[1] @ turns[0].T, turns_of_mean[1] @ turns_of_mean[0].T
            torch.testing.assert_close(moved, expected, atol=2e-4, rtol=0)  # turns commute to first order
            bend = end.coefficients[1, 1:2] * (1 / 4 - 1 / 12) if pose == "learned" else torch.zeros(0, 6)
            turn, shift = bend.sum(0).split(3)
            torch.testing.assert_close(shifts[known], 2.0 * shift, atol=1e-8, rtol=0)
            torch.testing.assert_close(turns[known], rotation_matrices(turn[None])[0])


def test_poses_count_as_the_mean_unless_the_photos_tell_clearly() -> None:
    for sines, learned in (
        ([1.0, -0.9, 0.1, 0.5], True),  # more near an end than in between
        ([1.0, -0.9, 0.3, 0.5], False),  # anywhere
        ([0.1, -0.2, 0.0, 0.1], False),
    ):
        found = Paths(4, TrajectorySettings(), 1.0, 0, 1.0)
        found.moments.data.copy_(torch.tensor(sines).asin())  # type: ignore[union-attr]
        found.settle()
        assert bool(found.learned) == learned
        mean = Paths(4, TrajectorySettings(pose="mean"), 1.0, 0, 1.0)
        mean.settle()
        for view in range(4):
            same = torch.equal(found.motion(view, torch.zeros(1))[1], mean.motion(view, torch.zeros(1))[1])
            assert same != learned


def test_paths_are_straight_until_they_are_settled() -> None:
    found, times = Paths(2, TrajectorySettings(start=0.01), 1.0, 0, 1.0), torch.tensor([-0.5, 0.0, 0.5])
    for bends in (False, True):
        turns, shifts = found.motion(0, times)
        middle = (shifts[0] + shifts[2]) / 2 - shifts[1]
        assert bool(middle.abs().max() > 1e-4) == bends
        path = turns.sum() + shifts.sum() + found.variances(torch.ones(2)).sum()
        (gradient,) = torch.autograd.grad(path, found.coefficients)
        assert bool(gradient[0, 1].any()) == bends
        assert gradient[0, 0].any()
        found.settle()
    curved = found.coefficients.detach()[:, 1]
    found.coefficients.data[:, 0] = 0
    assert curved.any() and (found.variances(torch.ones(2)) > 0).all()


@pytest.mark.parametrize("pose, moment", [("end", 0.0), ("learned", 1.1), ("learned", -0.4), ("mean", 0.0)])
def test_motion_from_the_mean_pose_is_the_same_motion(pose: str, moment: float) -> None:
    """Seen from elsewhere: it has no mean, and from the known pose it goes where it did."""
    found, (times, weights) = Paths(2, TrajectorySettings(pose=pose, start=0.1), 2.0, 3, 0.1), instants(5)
    found.settle()
    if found.moments is not None:
        found.moments.data[1], found.learned = moment, torch.tensor(True)
    turn, shift = found.mean_pose(1)
    turns, shifts = found.motion_from_mean(1, times)
    expected_turns, expected_shifts = found.motion(1, times)
    torch.testing.assert_close(turns @ turn, expected_turns)
    torch.testing.assert_close(turns @ shift + shifts, expected_shifts)
    torch.testing.assert_close(weights @ shifts, torch.zeros(3), atol=2e-3, rtol=0)  # exact but for the turns
    assert float(shift.abs().max()) > 5e-3 or pose == "mean"
    assert not turn.requires_grad and shifts.requires_grad


def test_few_poses_have_the_variance_of_the_whole_exposure(subtests: pytest.Subtests) -> None:
    for count in [3, 5, 7]:
        with subtests.test(count=count):
            times, weights = instants(count)
            assert float(weights.sum()) == pytest.approx(1)
            assert float(weights @ times**2) == pytest.approx(1 / 12, rel=1e-5)
            assert float(weights @ times**4) == pytest.approx(1 / 80, rel=1e-5)
            assert float(times[count // 2]) == 0


@pytest.mark.parametrize("linear_light", [False, True])
@pytest.mark.parametrize("path", [[0.08, -0.1, 0.2, 0, 0, 0], [0, 0, 0, 0.2, 0.1, 0], [0, 0, 0.1, 0.15, 0, 0.2]])
@pytest.mark.parametrize("moment", [0.0, 1.5])
@torch.no_grad()
def test_the_photo_is_the_mean_of_what_the_poses_see(moment: float, path: list[float], linear_light: bool) -> None:
    """Turned, shifted and both, in front of a wall: one render is as good as one from every pose, and it is taken from
    the mean pose, wherever the known one is."""
    gaussians, moving = wall(600, 1), paths(order=1, c1=path)
    moving.moments.data[0] = moment  # type: ignore[union-attr]
    draw = draw_with(gaussians)
    view = ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    seen = CameraBlur(moving, None, TrajectorySettings(), linear_light).expose(view, CAMERA, PHASE, draw)
    times, weights = instants(9)
    poses = [Camera(turn, shift, 40.0, 40.0, 48, 32) for turn, shift in zip(*moving.motion(0, times), strict=True)]
    images = torch.stack([draw(pose).rgb for pose in poses])
    mixed = torch.einsum("t,tcij->cij", weights, to_linear(images) if linear_light else images)
    expected = to_srgb(mixed) if linear_light else mixed
    sharp = draw(CAMERA.moved(*moving.mean_pose(0))).rgb
    torch.testing.assert_close(seen.sharp, sharp, atol=1e-2, rtol=0)  # but for tiles that lie otherwise
    assert len(seen.renders) == 1
    blur, error = (expected - seen.sharp).abs().mean(), (expected - seen.prediction).abs().mean()
    assert float(blur) > 2e-3
    assert float(error) < 1e-3  # at most 7.6e-4 were seen: Gaussians end at other tiles from every pose


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
        camera = replace(CAMERA, rotation=turn @ rotation, translation=shift)
        background = torch.zeros(3, dtype=torch.float64)
        return (rasterizer(splats, camera, sh_degree=0, background=background).rgb * weights).sum()

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
    gaussians, camera = cloud(40, 2), replace(CAMERA, rotation=torch.eye(3, requires_grad=True) * 1.0)
    draw = draw_with(gaussians)
    expected = torch.autograd.grad(draw(CAMERA).rgb.square().sum(), (gaussians.means, gaussians.rotations))
    found = torch.autograd.grad(draw(camera).rgb.square().sum(), (gaussians.means, gaussians.rotations))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def even_blur(camera: Camera = CAMERA, distance: float = 4.0, **coefficients: list[float]) -> OpticalBlur:
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    rays = torch.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, torch.ones(rows.shape)])
    times, weights = instants(INSTANTS)
    motion = paths(**coefficients).motion(0, times)
    sharp = torch.zeros(rays.shape[1:]), torch.zeros(())
    return OpticalBlur(camera, distance * rays.norm(dim=0), *motion, weights, *sharp)


def test_a_shift_across_makes_streaks_of_the_length_that_the_lens_and_the_distance_say() -> None:
    blur = even_blur(c1=[0, 0, 0, 0.3, 0, 0])  # 0.3 extents of 2 at distance 4: 40 * 0.6 / 4 = 6 pixels
    mean, covariance = blur.moments()
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(covariance[0], torch.full((32, 48), 6**2 / 12), rtol=1e-3, atol=0)
    torch.testing.assert_close(covariance[1:], torch.zeros(2, 32, 48), atol=1e-4, rtol=0)
    estimate = estimate_blur(blur, torch.rand(3, 32, 48), blur.distance)
    assert (estimate.kind, estimate.mask) == ("motion", None)
    assert estimate.length == pytest.approx(6, rel=0.01)
    assert math.sin(math.radians(estimate.direction)) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_light_comes_from_where_the_point_was_in_the_known_pose(seed: int) -> None:
    """Followed one point and one instant at a time, the other way: from the known pose to that of the instant."""
    generator = torch.Generator().manual_seed(seed)
    turned, shifted = (torch.randn(3, generator=generator) / 20).tolist(), torch.randn(3, generator=generator) / 20
    camera = replace(CAMERA, fx=30.0, fy=55.0, offset=(2.0, -3.0))
    blur = even_blur(camera, distance=3.0, c1=[*turned, *shifted.tolist()], c2=[0.1, -0.2, 0.1, 0.3, 0.2, 0.1])
    row, column = 9, 31
    middle, focal = torch.tensor([camera.cx, camera.cy]), torch.tensor([camera.fx, camera.fy])
    places = []
    for turn, shift in zip(blur.turns, blur.shifts, strict=True):
        ray = torch.cat([(torch.tensor([column, row]) - middle) / focal, torch.ones(1)])
        then = ray * float(blur.distance[row, column]) / ray.norm()
        known = torch.linalg.solve(turn, then - shift)
        torch.testing.assert_close(turn @ known + shift, then)
        places.append(known[:2] / known[2] * focal + middle)
    ways = torch.stack(places) - torch.tensor([column, row])
    mean = blur.weights @ ways
    found, covariance = (part[:, row, column] for part in blur.moments())
    torch.testing.assert_close(found, mean, atol=1e-4, rtol=1e-4)
    (xx, xy), (_, yy) = torch.einsum("t,ti,tj->ij", blur.weights, ways - mean, ways - mean)
    torch.testing.assert_close(covariance, torch.stack([xx, xy, yy]), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_camera_that_turns_back_leaves_a_tail_on_one_side(axis: int) -> None:
    """Shifted by ``a (u^2 - 1/12)`` it sees a point that far to one side: its light comes from the other one.

    The cube of ``u^2 - 1/12`` has the mean ``1/448 - 3/960 + 2/1728`` over the exposure. A pixel's own spread is even
    and adds nothing to it.
    """
    path = [0.0] * 6
    path[3 + axis] = 1.0  # 2 scene units at distance 4, of 40 pixels' focal length
    blur = even_blur(c2=path)
    kernel = blur.kernels_at(torch.tensor([16]), torch.tensor([24]))[0].double()
    marginal, offsets = kernel.sum(axis), torch.arange(blur.kernel_size) - blur.reach
    mean = float(marginal @ offsets.double())
    third = float(marginal @ (offsets.double() - mean) ** 3)
    amplitude = 40 * 2 / 4
    assert third == pytest.approx(-(amplitude**3) * (1 / 448 - 3 / 960 + 2 / 1728), rel=0.1)


def test_kernels_lie_along_the_way_that_the_light_comes() -> None:
    blur = even_blur(c1=[0, 0, 0, 0, 0.3, 0])
    kernel = blur.kernels_at(torch.tensor([16]), torch.tensor([24]))[0]
    middle = blur.reach
    assert kernel.shape == (blur.kernel_size, blur.kernel_size)
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    assert float(kernel[:, middle].sum()) == pytest.approx(0.91, abs=0.02)  # a column: the camera moves down
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
    assert float(kernel[blur.reach, blur.reach]) > 0.8  # but for the pixel's own spread


def test_parts_of_a_photo_make_the_blur_of_the_whole() -> None:
    motion = {"c1": [0.02, 0.1, 0.2, 0.05, 0.02, 0.1], "c2": [0.1, 0, 0, 0, 0.1, 0]}
    whole = even_blur(**motion)
    left, right = even_blur(CAMERA.cropped(0, 0, 32, 32), **motion), even_blur(CAMERA.cropped(32, 0, 16, 32), **motion)
    built = right.room(32, 48)
    built.take(left, Window(0, 0, 32, 32))
    built.take(right, Window(32, 0, 16, 32))
    for one, other in zip(built.moments(), whole.moments(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def lens(*numbers: float) -> Lenses:
    found = Lenses(1, LensSettings(start=0.0), centre=torch.tensor([0.0, 0.0, 4.0]), seed=0, pixel=1.0)
    found.numbers.data[0] = torch.tensor(numbers)
    return found


def test_a_lens_is_sharp_where_it_is_in_focus_and_spreads_by_the_distance_in_dioptres() -> None:
    distance = torch.tensor([[2.0, 4.0, 8.0]])
    one = lens(0.1, -0.1, 0.0)
    disc, soft = (
        part.detach() for part in one.variance(0, distance, CAMERA)
    )  # the scene's centre is at 4, the focus at 2
    torch.testing.assert_close(disc.sqrt(), 40 * 0.1 * (4 / distance - 2).abs(), atol=1e-6, rtol=1e-5)
    assert float(soft) == 0
    torch.testing.assert_close(one.variance(0, distance[:, :1], CAMERA)[0], disc[:, :1])  # a part of it alike
    torch.testing.assert_close(lens(0.1, -0.1, 0.0).variance(0, distance[:, :1], CAMERA)[0], disc[:, :1])  # also first
    disc, soft = (part.detach() for part in lens(0.0, 0.0, 0.03).variance(0, distance, CAMERA))
    assert not disc.any()
    assert float(soft.sqrt()) == pytest.approx(40 * 0.03)


def test_a_lens_follows_its_formula_whatever_its_numbers(subtests: pytest.Subtests) -> None:
    """Angles in radians become pixels by the geometric mean of both focal lengths; ten times nearer is near enough."""
    for seed in range(4):
        with subtests.test(seed=seed):
            generator = torch.Generator().manual_seed(seed)
            a, b, c = (torch.randn(3, generator=generator) / 10).tolist()
            distance = 10 ** (3 * torch.rand(5, 7, generator=generator) - 2)
            center = torch.randn(3, generator=generator)
            camera = replace(CAMERA, fx=30.0, fy=55.0, translation=-center)
            middle = math.dist(center.tolist(), (0.0, 0.0, 4.0))
            near = [min(middle / each, 10) for each in distance.flatten().tolist()]
            expected = [30 * 55 * (a * (each - 1) + b) ** 2 for each in near]
            assert (middle / distance > 10).any() and (middle / distance < 10).any()
            disc, soft = (part.detach() for part in lens(a, b, c).variance(0, distance, camera))
            torch.testing.assert_close(disc.flatten(), torch.tensor(expected), rtol=1e-4, atol=1e-6)
            assert float(soft) == pytest.approx(30 * 55 * c**2, rel=1e-4)


def test_what_lies_behind_a_thin_veil_is_as_far_as_it_is() -> None:
    """Depth is a sum over what a pixel shows; of a pixel that is half covered it is half the distance."""
    gaussians, view = cloud(60, 4), ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    gaussians.opacity_logits.data[:] = -1.0
    model = CameraBlur(None, lens(0.0, 0.0, 0.03), TrajectorySettings(), True)
    draw = draw_with(gaussians)
    render = draw(CAMERA)
    covered = render.alpha > 0.01
    assert int((render.alpha[covered] < 0.7).sum()) > 100
    for blur in (model.expose(view, CAMERA, PHASE, draw).blur, model.rest(view, CAMERA, draw).blur):
        assert isinstance(blur, OpticalBlur)
        distance = blur.distance[covered]
        torch.testing.assert_close(distance, (render.depth / render.alpha)[covered].detach())
        assert float(distance.min()) > 2 and float(distance.max()) < 4.5


@pytest.mark.parametrize(
    "numbers, path, kind",
    [
        ((0.0, 0.0, 0.03), {}, "low_resolution"),
        ((0.1, -0.05, 0.0), {}, "defocus"),
        ((0.0, 0.0, 0.01), {"c1": [0, 0.2, 0, 0, 0, 0]}, "motion"),
        ((0.0, 0.0, 0.0), {"c1": [0.1, 0, 0, 0, 0, 0], "c2": [0, 0.4, 0, 0, 0, 0]}, "low_resolution"),  # a bent path
        ((0.0, 0.0, 0.0), {"c1": [0, 0.026, 0, 0, 0, 0]}, "motion"),  # root mean square spread 0.3 pixels
        ((0.0, 0.0, 0.0), {"c1": [0, 0.012, 0, 0, 0, 0]}, "sharp"),  # 0.14 pixels
    ],
)
def test_the_kind_of_blur_follows_from_the_shape_of_path_and_lens_together(
    numbers: tuple[float, ...], path: dict, kind: str
) -> None:
    model = CameraBlur(paths(**path), lens(*numbers), TrajectorySettings(), linear_light=True)
    distance = torch.linspace(2.5, 8, 32 * 48).reshape(32, 48)
    view = ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    blur = model.blur_of(view, distance, *(part.detach() for part in lens(*numbers).variance(0, distance, CAMERA)))
    assert estimate_blur(blur, torch.rand(3, 32, 48), distance).kind == kind


def test_the_variance_in_the_middle_of_a_photo_follows_from_path_and_lens_alone() -> None:
    """As it decides how much photos count, without a look at the scene."""
    path, optics = paths(c1=[0.04, -0.05, 0.1, 0.3, 0.25, 0.1], c2=[0.1, 0.05, 0, 0, 0.3, 0]), lens(0.5, -0.02, 0.03)
    blur = CameraBlur(path, optics, TrajectorySettings(), linear_light=True)
    distance = torch.full((33, 49), float((CAMERA.center - optics.centre).norm()))
    camera = replace(CAMERA, width=49, height=33)
    view = ViewBatch(camera, torch.zeros(3, 33, 49), 0, "a.png", step=1)
    _, covariance = blur.blur_of(view, distance, *optics.variance(0, distance, camera)).moments()
    expected = (covariance[0] + covariance[2])[int(CAMERA.cy), int(CAMERA.cx)] / 2
    in_pixels = camera.fx**2  # the unit of these path and lens is a radian
    found = (path.variances(distance[:1, 0]) + optics.variances()) * in_pixels
    torch.testing.assert_close(found[0], expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("disc, soft", [(0.0, 2.0), (2.0, 0.0), (0.1, 1.9), (1.5, 0.5)])
def test_path_and_lens_add_up_and_their_kernels_agree(disc: float, soft: float) -> None:
    blur = even_blur(c1=[0, 0, 0, 0.2, 0, 0])
    both = replace(blur, disc=torch.full((32, 48), disc), soft=torch.tensor(soft))
    _, covariance = both.moments()
    alone = blur.moments()[1]
    torch.testing.assert_close(covariance - alone, torch.tensor([2.0, 0, 2.0])[:, None, None].expand(3, 32, 48))
    kernel = both.kernels_at(torch.tensor([16]), torch.tensor([24]))[0].double()
    axis = torch.arange(both.kernel_size).double() - both.reach
    across, down = kernel.sum(0), kernel.sum(1)
    pixel = 1 / 6
    assert float(across @ axis**2) == pytest.approx(float(covariance[0, 16, 24]) + pixel, rel=0.02)
    assert float(down @ axis**2) == pytest.approx(2 + pixel, rel=0.02)


def test_around_a_pixel_the_largest_value_within_the_largest_disc_is_found() -> None:
    disc = torch.zeros(32, 48)
    disc[10, 20] = 2.0  # a radius of 2.8 pixels
    blur = replace(even_blur(), disc=disc)
    expected = torch.zeros(32, 48)
    expected[7:14, 17:24] = 2.0
    assert torch.equal(blur.largest_around(disc), expected)
    sharp = replace(blur, disc=torch.zeros(32, 48))
    assert torch.equal(sharp.largest_around(disc), disc)


@pytest.mark.parametrize("length, count", [(0.0, 3), (0.2, 3), (0.4, 5), (0.6, 7), (4.0, 7)])
def test_long_paths_take_more_instants(length: float, count: int) -> None:
    model = CameraBlur(paths(), None, TrajectorySettings(instants=7, pixels=2.0), linear_light=True)
    assert model.instants_of(even_blur(c1=[0, 0, 0, length, 0, 0])) == count  # 20 pixels for a length of 1


def test_pixels_that_show_nothing_do_not_count_as_close_to_the_camera() -> None:
    depth, alpha = torch.full((4, 6), 3.0), torch.full((4, 6), 0.5)
    depth[:2] = 1.0
    rows = torch.tensor([2.0, 2.0, 6.0, 6.0])[:, None]
    torch.testing.assert_close(distance_of(depth, alpha), rows.expand(4, 6))
    alpha[0, 0], depth[0, 0] = 1e-5, 0.0
    expected = (11 * 1.0 + 12 * 3.0) / (23 * 0.5)
    assert distance_of(depth, alpha)[0, 0].item() == pytest.approx(expected, rel=1e-4)
    assert (distance_of(torch.zeros(2, 2), torch.zeros(2, 2)) == 1).all()  # nothing at all

    small = cloud(40, 3)  # the corners of the photo are empty
    small.log_scales.data.fill_(math.log(0.05))
    found = paths(c1=[0, 0, 0, 0.5, 0, 0.1])
    photo = ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    seen = CameraBlur(found, None, TrajectorySettings(), True).expose(photo, CAMERA, PHASE, draw_with(small))
    assert (seen.alpha < EMPTY).float().mean() > 0.3
    assert seen.blur is not None and 10 < seen.blur.path_length() < 30  # 0.5 extents of 2, at 2.5 to 3.5
    seen.prediction.mean().backward()
    assert 0 < float(found.coefficients.grad.abs().max()) < 1


def test_a_render_that_is_not_a_number_stops_nothing() -> None:
    """The step has a loss that is NaN, and is skipped."""
    draw, view = draw_with(cloud(40, 3)), ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)

    def broken(camera: Camera) -> RenderOutput:
        render = draw(camera)
        return replace(render, rgb=render.rgb * math.nan, depth=render.depth * math.nan)

    model = CameraBlur(paths(c1=[0, 0.1, 0, 0, 0, 0]), lens(0.1, 0.1, 0.0), TrajectorySettings(), True)
    seen = model.expose(view, CAMERA, PHASE, broken)
    assert seen.prediction.isnan().all()
    assert isinstance(seen.blur, OpticalBlur) and seen.blur.path_length() == 0
    seen.blur.largest_around(seen.blur.variance)


def test_a_lens_is_learned_from_the_photo() -> None:
    gaussians = cloud(200, 3)
    draw, true = draw_with(gaussians), lens(0.0, 0.0, 0.04)
    view = ViewBatch(CAMERA, torch.zeros(3, 32, 48), 0, "a.png", step=1)
    with torch.no_grad():
        photo = CameraBlur(None, true, TrajectorySettings(), True).expose(view, CAMERA, PHASE, draw).prediction
    learned = lens(0.001, 0.0, 0.01)
    model, adam = CameraBlur(None, learned, TrajectorySettings(), True), torch.optim.Adam(learned.parameters(), lr=2e-3)
    for _ in range(60):
        adam.zero_grad()
        (model.expose(view, CAMERA, PHASE, draw).prediction - photo).abs().mean().backward()
        adam.step()
    disc, soft = learned.variance(0, torch.full((1, 1), 3.0), CAMERA)
    assert float((disc + soft).detach().sqrt()) == pytest.approx(40 * 0.04, rel=0.1)
