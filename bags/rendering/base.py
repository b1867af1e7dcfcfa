"""What a rasteriser is, and the numbers and checks that all of them share.

A rasteriser works in two stages, each of which can be called and timed on its own:

* ``project(splats, camera, sh_degree=..., kernel_size=...) -> Projection`` brings Gaussians to the screen;
* ``rasterize(projection, background, width, height) -> (rgb, depth, alpha)`` blends them front to back.

Rules every backend follows (docs/method.md section 2): Gaussians are blended in the order of their *distance* from the
camera centre (not view-space z). A Gaussian is evaluated at all pixels of the 16x16 tiles that the square
``mean +- radius`` touches, tile t covering the pixel coordinates [16 t, 16 t + 16), and nowhere else; a backend may
skip pixels only where alpha is below 1/255 anyway. Derivatives are those of the formulas as written: none through the
cap of alpha at 0.99, through the clamp of colours at 0, or from a clamped direction to the ratios x/z, y/z.
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

# docs/method.md section 2. The Numba kernels compile these in: clear __pycache__ after changing one.
NEAR = 0.2  # view-space z at or below which nothing is drawn, scene units
DIRECTION_CLAMP = 1.3  # the Jacobian is taken at x/z, y/z of at most this times tan(fov / 2) of the whole photo
KERNEL_SIZE = 0.1  # variance of the 2D Mip filter, pixels squared
MIN_DETERMINANT = 1e-6  # floor of the 2D covariance's determinant, where the Gaussian's opacity becomes 0
RADIUS_SIGMAS = 3.0
MAX_RADIUS = 1 << 24  # pixels; keeps the radius of a Gaussian at the near plane within an int32
MAX_ALPHA = 0.99
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4
TILE = 16  # pixels


@dataclass(frozen=True)
class Projection:
    """Gaussians on the screen, in input order; N Gaussians. Rows with radius 0 are zero and not drawn.

    Attributes:
        means2d: (N, 2) centres in pixels (x, y).
        conics: (N, 3) inverse of the filtered 2D covariance: xx, xy, yy, 1 / pixels squared.
        colours: (N, 3) RGB >= 0.
        opacities: (N,) opacity times the 2D filter's compensation.
        distances: (N,) distance from the camera centre, scene units.
        radii: (N,) int32 ``ceil(3 sqrt(largest eigenvalue))`` in pixels; 0 where behind the near plane, off the image,
            or not finite.
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
            BagsError: a float type that this rasteriser does not take, shapes that do not fit, too high an SH degree.
        """
        if camera.rotation.requires_grad or camera.translation.requires_grad:
            splats, camera = seen_by(splats, camera)
        return self.draw(splats, camera, sh_degree, background, kernel_size)

    @abstractmethod
    def draw(self, splats: Splats, camera: Camera, degree: int, background: Tensor, kernel_size: float) -> RenderOutput:
        """What a backend does when it is called."""


@dataclass(frozen=True)
class TwoStageRasterizer(Rasterizer):
    """A ``Rasterizer`` made of a backend's ``project`` and ``rasterize``.

    Attributes:
        project: the first stage.
        rasterize: the second.
        absolute: of a projection, once gradients have come back to it: ``RenderOutput.absolute``; None: has none.
    """

    project: Callable[..., Any]
    rasterize: Callable[[Any, Tensor, int, int], tuple[Tensor, Tensor, Tensor]]
    absolute: Callable[[Any], Tensor | None] | None = None

    def draw(self, splats: Splats, camera: Camera, degree: int, background: Tensor, kernel_size: float) -> RenderOutput:
        """One stage after the other."""
        projection = self.project(splats, camera, sh_degree=degree, kernel_size=kernel_size)
        if projection.means2d.requires_grad:
            projection.means2d.retain_grad()
        images = self.rasterize(projection, background, camera.width, camera.height)
        absolute = partial(self.absolute, projection) if self.absolute else None
        return RenderOutput(*images, projection.means2d, projection.radii, absolute)


def check_splats(splats: Splats, sh_degree: int, float32_for: str | None = None) -> None:
    """Check shapes and the SH degree, and the float type for a rasteriser that takes but one.

    Raises:
        BagsError: names what does not fit.
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
        raise BagsError(f"splats.means is {splats.means.dtype}: the {float32_for} rasteriser takes float32")
    if not 0 <= sh_degree <= 3 or rest < (sh_degree + 1) ** 2 - 1:
        raise SettingError("sh_degree", sh_degree, f"must be 0 to 3; splats.sh_rest holds {rest} coefficients")


def touches_image(means2d: Tensor, radii: Tensor, width: int, height: int) -> Tensor:
    """(N,) bool: the square ``mean +- radius`` touches a tile of the image (False where it is not finite)."""
    square = radii.to(means2d.dtype)[:, None]
    low, high = means2d - square, means2d + square
    right, bottom = -(-width // TILE) * TILE, -(-height // TILE) * TILE  # numbers: a tensor of them would be a copy
    return (high >= 0).all(dim=1) & (low[:, 0] < right) & (low[:, 1] < bottom)
