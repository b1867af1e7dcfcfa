"""Checks for a machine with a GPU. Each returns figures, and whether they are within their limits.

They also run on the CPU, with its kernels and small sizes, so that the checks themselves can be tested everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bags.benchmark.blur_step import camera_blur_row
from bags.benchmark.inputs import front_camera
from bags.benchmark.rows import convolution_row
from bags.benchmark.step import step_row
from bags.modules.optical_blur import points_seen
from bags.modules.trajectory import instants
from bags.ops.defocus import defocus
from bags.ops.geometry import rotation_matrices
from bags.ops.interpolated_conv import interpolated_conv, interpolated_conv_reference, node_kernels
from bags.ops.path_blur import path_blur, projections_along
from bags.ops.per_pixel_conv import per_pixel_conv, per_pixel_conv_reference
from bags.rendering.choice import DEVICES, make_rasterizer
from bags.rendering.parity import Contender, compare, random_scene

PACKAGES = {"gsplat": "gsplat", "diff_gaussian": "diff_gaussian_rasterization"}
VALUES, GRADIENTS = 1e-3, 1e-2  # largest relative difference of two rasterisers in images and in gradients
# The same for opaque Gaussians: gsplat caps alpha at 0.999, others at 0.99. Measured: 2e-3, and 0.5 for opacities.
OPAQUE_VALUES, OPAQUE_GRADIENTS = 5e-3, 0.75
CONVOLUTION = 1e-4  # largest relative difference of the convolution from its float64 reference
CAMERA_BLUR = 1e-3  # the same of path and lens; gradients jump where a pixel lies on the edge of a disc
SPEED = 1.0  # least speed-up of the convolution over unfold at 600x400; its main purpose is to save memory


@dataclass(frozen=True)
class Check:
    """Outcome of one check; ``passed`` is None if it only measures."""

    name: str
    passed: bool | None
    figures: dict[str, Any] = field(default_factory=dict)
    limit: str = ""


def rasterizers(device: str, small: bool) -> list[Check]:
    """Compare every rasteriser for ``device`` with the torch reference in float64 on the CPU."""
    size = (200, 61, 43) if small else (2000, 200, 133)
    scenes = {
        "": (random_scene(*size), VALUES, GRADIENTS),
        ", opaque Gaussians": (random_scene(*size, opaque=True), OPAQUE_VALUES, OPAQUE_GRADIENTS),
    }
    reference = Contender(make_rasterizer("reference", "cpu"), "cpu", torch.float64)
    checks = []
    for name, kind in DEVICES.items():
        here = "cpu" if kind is None else kind
        if here not in ("cpu", torch.device(device).type) or name == "reference":
            continue
        if name in PACKAGES and find_spec(PACKAGES[name]) is None:
            checks.append(Check(f"{name} against the reference", None, {"said": f"{PACKAGES[name]} is not installed"}))
            continue
        contender = Contender(make_rasterizer(name, here), here)
        for kind_of_scene, (scene, values, slopes) in scenes.items():
            figures = compare(contender, reference, *scene)
            images = max(figures[key] for key in ("rgb", "depth", "alpha"))
            gradients = max(value for key, value in figures.items() if key.startswith("grad."))
            good = images <= values and gradients <= slopes
            rounded = {key: float(f"{value:.2g}") for key, value in figures.items()}
            limit = f"images {values:g}, gradients {slopes:g}, relative"
            checks.append(Check(f"{name} against the reference{kind_of_scene}", good, rounded, limit))
    return checks


def convolution_is_right(device: str) -> list[Check]:
    """Compare the per-pixel convolution on ``device`` with its float64 reference: values and all gradients.

    It is checked with a kernel at every pixel, and with kernels interpolated between nodes.
    """
    worst: dict[str, float] = {}
    for side, stride, spacing in ((5, 1, 1), (9, 2, 1), (17, 1, 1), (5, 1, 2), (9, 2, 4), (17, 1, 4)):
        generator = torch.Generator().manual_seed(side)
        pad = stride * (side - 1)
        nodes = -(-37 // spacing), -(-45 // spacing)
        shapes = ((3, 37 + pad, 45 + pad), (64, *nodes), (side * side, 64), (37, 45), (3, 37, 45))
        inputs = [torch.randn(*shape, generator=generator) for shape in shapes]
        inputs[2] *= 0.2
        inputs[3].sigmoid_()
        pair = (per_pixel_conv, per_pixel_conv_reference) if spacing == 1 else _interpolated(spacing)
        fast, slow = (_in_order(convolve, stride) for convolve in pair)
        worst[f"K{side} stride {stride} spacing {spacing}"] = _error(fast, slow, inputs, device)
    limit = f"{CONVOLUTION:g} relative, values and gradients"
    return [Check("per-pixel convolution against the reference", max(worst.values()) <= CONVOLUTION, worst, limit)]


def camera_blur_is_right(device: str) -> list[Check]:
    """Compare the blur of path and lens, values and gradients, with their references in float64 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    camera, margin = front_camera(90, 60), 8  # beyond the image, gradients are cut off
    image = torch.rand(3, 60 + 2 * margin, 90 + 2 * margin, generator=generator)
    distance, spread = torch.rand(2, 60, 90, generator=generator)
    times, weights = instants(7)
    turns = rotation_matrices(times[:, None] * torch.tensor([0.02, 0.05, 0.03]))
    middle = camera.cx + margin, camera.cy + margin
    ways = projections_along(turns, 0.1 * times[:, None].expand(7, 3), (camera.fx, camera.fy), middle)
    points = points_seen(camera, 2 + 3 * distance)

    def path(image: Tensor, ways: Tensor) -> Tensor:
        return path_blur(image, points.to(image), ways, weights.to(image))

    def lens(image: Tensor, variance: Tensor) -> Tensor:
        return defocus(image, variance, 1 + distance.to(image))

    inside = image[:, margin:-margin, margin:-margin]
    figures = {
        "path": _error(path, path, (image, ways), device),
        "lens": _error(lens, lens, (inside, 6 * spread), device),
    }
    limit = f"{CAMERA_BLUR:g} relative, values and gradients"
    return [Check("blur of path and lens against the reference", max(figures.values()) <= CAMERA_BLUR, figures, limit)]


def _interpolated(spacing: int) -> tuple[Callable[..., Tensor], ...]:
    """The interpolated convolution and its reference, with the signature of the one with a kernel at every pixel."""

    def of(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(image: Tensor, features: Tensor, head: Tensor, mask: Tensor, **more: Any) -> Tensor:
            return convolve(image, node_kernels(features, head), mask, spacing, **more)

        return call

    return of(interpolated_conv), of(interpolated_conv_reference)


def _in_order(convolve: Callable[..., Tensor], stride: int) -> Callable[..., Tensor]:
    """``convolve`` with all tensors by position."""
    return lambda image, features, head, mask, sharp: convolve(image, features, head, mask, stride=stride, sharp=sharp)


def _error(fast: Callable[..., Tensor], slow: Callable[..., Tensor], inputs: Sequence[Tensor], device: str) -> float:
    """Largest relative difference of ``fast`` on ``device`` from ``slow`` in float64: of values and all gradients."""
    ours = _with_gradients(fast, [tensor.to(device) for tensor in inputs])
    exact = _with_gradients(slow, [tensor.double() for tensor in inputs])
    error = max(float((a.cpu().double() - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True))
    return float(f"{error:.2g}")


def _with_gradients(compute: Callable[..., Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The result of ``compute``, and the gradients of a weighted sum of it for all ``inputs``."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    result = compute(*leaves)
    weights = torch.linspace(-1, 1, result.numel()).view(result.shape).to(result)
    return [result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)]


def convolution_is_fast(device: str, small: bool) -> list[Check]:
    """Time and memory of the convolution: compared with unfold at 600x400, and alone at 2400x1600."""
    if small:
        return [_measured(convolution_row(5, 60, 40, 1, device))]
    quick = convolution_row(17, 600, 400, 5, device)
    checks = [Check(quick["name"], quick["ratio"] > SPEED, quick, "faster than unfold")]
    return [*checks, _measured(convolution_row(17, 2400, 1600, 3, device, compare=False))]


def steps(device: str, small: bool) -> list[Check]:
    """Time of a training step by parts, and its peak memory, for a quarter-resolution and a full-resolution photo."""
    if small:
        return [_measured(step_row(60, 40, 200, 2.0, 5, 1, device))]
    return [
        _measured(step_row(600, 400, 100_000, 2.0, 17, 5, device, compare=False)),
        _measured(step_row(600, 400, 100_000, 2.0, 17, 5, device, compare=False, spacing=1)),
        _measured(step_row(600, 400, 100_000, 2.0, None, 5, device, compare=False)),
        _measured(step_row(2400, 1600, 500_000, 4.0, 17, 3, device, compare=False)),
        _measured(camera_blur_row(600, 400, 100_000, 12.0, True, 5, device)),
    ]


def _measured(row: dict[str, Any]) -> Check:
    return Check(row["name"], None, row)
