"""Differences between two rasterisers on one scene: one figure for each value and each gradient.

Used by the tests of the adapters and by checks on a machine with a GPU; a fast backend is compared with ``reference``
in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from bags.ops.geometry import quaternion_to_rotation
from bags.rendering.base import KERNEL_SIZE, Rasterizer
from bags.types import Camera, RenderOutput, Splats

SPLATS = tuple(f.name for f in fields(Splats))


@dataclass(frozen=True)
class Contender:
    """A rasteriser, with the device and type of its tensors."""

    rasterizer: Rasterizer
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


def random_scene(count: int, width: int, height: int, seed: int = 0, opaque: bool = False) -> tuple[Splats, Camera]:
    """``count`` random Gaussians in and around the view of a turned camera with an off-centre principal point.

    Opacities lie in [0.05, 0.95], below the caps of alpha (which differ between backends). With ``opaque`` they lie in
    [0.98, 1], half of them above 0.99, and the Gaussians are larger. One in ten is behind the camera. Float32 on the
    CPU.
    """
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    rotation, translation = quaternion_to_rotation(normal(4)), normal(3)
    camera = Camera(rotation, translation, 0.9 * width + 3, 0.8 * width + 5, width, height, offset=(0.37, -0.41))
    z = 2 + 4 * torch.rand(count, generator=draw)
    z[::10] *= -1
    field = torch.tensor([width / camera.fx, height / camera.fy])
    view = torch.cat([0.45 * normal(count, 2) * field * z[:, None].abs(), z[:, None]], dim=1)
    pixels = math.sqrt(width * height / max(count, 1))
    lowest, reach, size = (0.98, 0.02, 1.0) if opaque else (0.05, 0.9, 0.5)
    splats = Splats(
        means=(view - translation) @ rotation,
        scales=torch.exp(0.7 * normal(count, 3)) * size * pixels * z[:, None].abs() / camera.fx,
        rotations=3 * normal(count, 4),
        opacities=lowest + reach * torch.rand(count, generator=draw),
        sh_dc=0.8 * normal(count, 1, 3),
        sh_rest=0.2 * normal(count, 15, 3),
    )
    return splats, camera


def compare(
    first: Contender,
    second: Contender,
    splats: Splats,
    camera: Camera,
    *,
    sh_degree: int = 3,
    kernel_size: float = KERNEL_SIZE,
    seed: int = 0,
) -> dict[str, float]:
    """Relative differences ``|first - second| / |second|`` (Euclidean norms) between two rasterisers.

    The loss is a random weighting of colour, depth and alpha, drawn from ``seed``, over a random background.

    Returns:
        ``rgb``, ``depth``, ``alpha``, ``means2d`` (of Gaussians that both draw); ``drawn``: share of the Gaussians that
        only one of them draws; ``radii``: largest difference in pixels of Gaussians that both draw; and ``grad.NAME``
        for the six tensors of ``splats``, for ``means2d`` (the one that densification accumulates, per pixel) and for
        ``background`` if ``first`` gives it a gradient (the builds of diff-gaussian-rasterization do not).
    """
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(5, camera.height, camera.width, generator=draw, dtype=torch.float64)
    background = torch.rand(3, generator=draw, dtype=torch.float64)
    (a, a_grads), (b, b_grads) = (
        _render(contender, splats, camera, background, sh_degree, kernel_size, lambda images: images * weights)
        for contender in (first, second)
    )
    a_radii, b_radii = a.radii.cpu().long(), b.radii.cpu().long()
    both = (a_radii > 0) & (b_radii > 0)
    errors = {name: _relative(getattr(a, name), getattr(b, name)) for name in ("rgb", "depth", "alpha")}
    errors["means2d"] = _relative(a.means2d.cpu()[both], b.means2d.cpu()[both])
    errors["drawn"] = ((a_radii > 0) != (b_radii > 0)).double().mean().item() if len(both) else 0.0
    errors["radii"] = float((a_radii - b_radii)[both].abs().max()) if bool(both.any()) else 0.0
    return errors | {f"grad.{name}": _relative(a_grads[name], b_grads[name]) for name in a_grads}


def _render(
    contender: Contender,
    splats: Splats,
    camera: Camera,
    background: Tensor,
    sh_degree: int,
    kernel_size: float,
    weigh: Callable[[Tensor], Tensor],
) -> tuple[RenderOutput, dict[str, Tensor]]:
    def leaf(values: Tensor) -> Tensor:
        return values.detach().to(contender.device, contender.dtype, copy=True).requires_grad_()

    inputs, behind = Splats(*(leaf(getattr(splats, name)) for name in SPLATS)), leaf(background)
    out = contender.rasterizer(inputs, camera, sh_degree=sh_degree, background=behind, kernel_size=kernel_size)
    images = torch.cat([out.rgb, out.depth[None], out.alpha[None]]).to("cpu", torch.float64)
    weigh(images).sum().backward()
    gradients = {name: getattr(inputs, name).grad for name in SPLATS} | {"means2d": out.means2d.grad}
    gradients = {name: torch.zeros(()) if grad is None else grad for name, grad in gradients.items()}
    return out, gradients | ({} if behind.grad is None else {"background": behind.grad})


def _relative(a: Tensor, b: Tensor) -> float:
    a, b = (t.detach().to("cpu", torch.float64) for t in (a, b))
    error = (a - b).norm()
    return 0.0 if error == 0 else (error / b.norm()).item()
