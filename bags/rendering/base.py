"""The interface of rasterisers, and the constants and checks that all of them share.

A rasteriser works in two stages, each of which can be called and timed on its own:

* ``project(splats, camera, sh_degree=..., kernel_size=...) -> Projection`` projects Gaussians to the screen;
* ``rasterize(projection, background, width, height) -> (rgb, depth, alpha)`` blends them front to back.

Rules for every backend (docs/method.md section 2): Gaussians are blended in the order of their *distance* from the
camera centre (not view-space z). A Gaussian is evaluated at all pixels of the 16x16 tiles that the square
``mean +- radius`` touches, and nowhere else. Tile t covers the pixel coordinates [16 t, 16 t + 16). A backend may skip
pixels only where alpha is below 1/255 anyway. Derivatives are those of the formulas as written. There is none through
the cap of alpha at 0.99, through the clamp of colours at 0, or from a clamped direction to the ratios x/z, y/z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bags.errors import BagsError, SettingError
from bags.ops.moved_camera import seen_by
from bags.types import Camera, RenderOutput, Splats

# docs/method.md section 2. The Numba kernels compile these in; a change of this file compiles them again.
NEAR = 0.2  # view-space z at or below which nothing is drawn, scene units
DIRECTION_CLAMP = 1.3  # the Jacobian is evaluated at x/z, y/z of at most this times tan(fov / 2) of the whole photo
KERNEL_SIZE = 0.1  # variance of the 2D Mip filter, pixels squared
MIN_DETERMINANT = 1e-6  # of the 2D covariance; at or below it the Gaussian's opacity is 0
RADIUS_SIGMAS = 3.0
MAX_RADIUS = 1 << 24  # pixels; so that the radius of a Gaussian at the near plane fits into an int32
MAX_ALPHA = 0.99
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4
TILE = 16  # pixels


@dataclass(frozen=True)
class Projection:
    """Gaussians on the screen, in input order; N Gaussians. Rows with radius 0 are zero: not drawn, without gradient.

    Attributes:
        means2d: (N, 2) centres in pixels (x, y).
        conics: (N, 3) inverse of the filtered 2D covariance: xx, xy, yy, 1 / pixels squared.
        colours: (N, 3) RGB >= 0.
        opacities: (N,) opacity times the 2D filter's compensation.
        distances: (N,) distance from the camera centre, scene units.
        radii: (N,) int32 ``ceil(3 sqrt(largest eigenvalue))`` in pixels; 0 if behind the near plane, outside the image,
            or non-finite.
    """

    means2d: Tensor
    conics: Tensor
    colours: Tensor
    opacities: Tensor
    distances: Tensor
    radii: Tensor


class Rasterizer(ABC):
    """Draws Gaussians as a camera sees them, with gradients to the tensors of ``splats`` and to the camera's pose."""

    def __call__(
        self,
        splats: Splats,
        camera: Camera,
        *,
        sh_degree: int,
        background: Tensor,
        kernel_size: float = KERNEL_SIZE,
    ) -> RenderOutput:
        """Render one view.

        Args:
            splats: N Gaussians (0 is fine).
            camera: the view; where its pose carries gradients, they reach it (``bags.ops.moved_camera``).
            sh_degree: highest degree of spherical harmonics used, 0 to 3.
            background: (3,) colour behind everything.
            kernel_size: variance of the 2D Mip filter, pixels squared.

        Raises:
            BagsError: unsupported float type, wrong shapes, or too high an SH degree.
        """
        if camera.rotation.requires_grad or camera.translation.requires_grad:
            splats, camera = seen_by(splats, camera)
        return self.draw(splats, camera, sh_degree, background, kernel_size)

    @abstractmethod
    def draw(self, splats: Splats, camera: Camera, degree: int, background: Tensor, kernel_size: float) -> RenderOutput:
        """Render one view: the backend's implementation of a call."""


@dataclass(frozen=True)
class TwoStageRasterizer(Rasterizer):
    """A ``Rasterizer`` made of a backend's ``project`` and ``rasterize``.

    Attributes:
        project: the first stage.
        rasterize: the second.
        absolute: returns ``RenderOutput.absolute`` of a projection after the backward pass; None: not available.
    """

    project: Callable[..., Any]
    rasterize: Callable[[Any, Tensor, int, int], tuple[Tensor, Tensor, Tensor]]
    absolute: Callable[[Any], Tensor | None] | None = None

    def draw(self, splats: Splats, camera: Camera, degree: int, background: Tensor, kernel_size: float) -> RenderOutput:
        """Run one stage after the other."""
        projection = self.project(splats, camera, sh_degree=degree, kernel_size=kernel_size)
        if projection.means2d.requires_grad:
            projection.means2d.retain_grad()
        images = self.rasterize(projection, background, camera.width, camera.height)
        absolute = partial(self.absolute, projection) if self.absolute else None
        return RenderOutput(*images, projection.means2d, projection.radii, absolute)


def check_splats(splats: Splats, sh_degree: int, float32_for: str | None = None) -> None:
    """Check shapes and the SH degree, and for a rasteriser that needs float32 also the type.

    Raises:
        BagsError: names the wrong tensor or value.
    """
    count = splats.means.shape[0]
    rest = splats.sh_rest.shape[1] if splats.sh_rest.ndim == 3 else 0
    shapes: dict[str, tuple[Any, ...]] = {
        "means": (count, 3), "scales": (count, 3), "rotations": (count, 4), "opacities": (count,),
        "sh_dc": (count, 1, 3), "sh_rest": (count, rest, 3),
    }  # fmt: skip
    for name, shape in shapes.items():
        if tuple(getattr(splats, name).shape) != shape:
            raise BagsError(f"splats.{name} has shape {tuple(getattr(splats, name).shape)}, expected {shape}")
    if float32_for and splats.means.dtype != torch.float32:
        raise BagsError(f"splats.means is {splats.means.dtype}: the {float32_for} rasteriser needs float32")
    if not 0 <= sh_degree <= 3 or rest < (sh_degree + 1) ** 2 - 1:
        raise SettingError(
            "sh_degree", sh_degree, f"must be 0 to 3, with (degree + 1)^2 - 1 coefficients; splats.sh_rest has {rest}"
        )


def touches_image(means2d: Tensor, radii: Tensor, width: int, height: int) -> Tensor:
    """(N,) bool: the square ``mean +- radius`` touches a tile of the image (False where it is non-finite)."""
    square = radii.to(means2d.dtype)[:, None]
    low, high = means2d - square, means2d + square
    right, bottom = -(-width // TILE) * TILE, -(-height // TILE) * TILE  # plain numbers: tensors would be copied
    return (high >= 0).all(dim=1) & (low[:, 0] < right) & (low[:, 1] < bottom)
