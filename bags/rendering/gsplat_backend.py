"""The CUDA rasteriser: an adapter of gsplat (Apache-2.0, https://github.com/nerfstudio-project/gsplat), 1.5.

gsplat projects, sorts and blends; this module gives it our conventions (docs/method.md section 2) and takes its
results back into them:

* gsplat's pixel centres lie on halves, ours on integers: 0.5 is added to the centres where it blends, nowhere else.
* It sorts by, and the fourth channel holds, the *distance* from the camera centre instead of gsplat's view-space z.
* Tiles are those of our square ``mean +- radius``, less those where alpha is below 1/255 anyway.
* gsplat clamps directions relative to the image's edges. It is therefore given the frame of the whole photo, centred
  on the principal point, and the centres are shifted to the pixels asked for afterwards.

What remains different is listed in docs/rasterizers.md. gsplat is imported by ``load`` only.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bags.errors import BagsError
from bags.rendering.base import (
    KERNEL_SIZE,
    MAX_RADIUS,
    MIN_ALPHA,
    MIN_DETERMINANT,
    NEAR,
    RADIUS_SIGMAS,
    TILE,
    Projection,
    check_splats,
)
from bags.types import Camera, RenderOutput, Splats

FUNCTIONS = (
    "fully_fused_projection",
    "spherical_harmonics",
    "isect_tiles",
    "isect_offset_encode",
    "rasterize_to_pixels",
)


def load(absolute_gradients: bool = False) -> GsplatRasterizer:
    """Import gsplat and make the rasteriser; gsplat compiles its kernels at the first call.

    Args:
        absolute_gradients: also gather the absolute screen-space gradients (``RenderOutput.absolute``).

    Raises:
        BagsError: gsplat is not installed, cannot be imported, or is not a version with the functions used here.
    """
    try:
        gsplat = importlib.import_module("gsplat")
    except ImportError as error:
        raise BagsError(f"rasterizer.name=gsplat: {error}; install it with: pip install 'bags[cuda]'") from error
    missing = [name for name in FUNCTIONS if not hasattr(gsplat, name)]
    if missing:
        raise BagsError(
            f"rasterizer.name=gsplat: version {getattr(gsplat, '__version__', 'unknown')} lacks {', '.join(missing)}; "
            "install a fitting one with: pip install 'bags[cuda]'"
        )
    return GsplatRasterizer(gsplat, absolute_gradients)


@dataclass(frozen=True)
class GsplatRasterizer:
    """A ``Rasterizer`` on gsplat's functions, in the two stages that ``base`` describes. float32 CUDA tensors.

    Attributes:
        gsplat: the package.
        absolute_gradients: fill ``RenderOutput.absolute``.
    """

    gsplat: Any
    absolute_gradients: bool = False

    def __call__(
        self,
        splats: Splats,
        camera: Camera,
        *,
        sh_degree: int,
        background: Tensor,
        kernel_size: float = KERNEL_SIZE,
    ) -> RenderOutput:
        """Render one view; see ``Rasterizer``."""
        projection = self.project(splats, camera, sh_degree=sh_degree, kernel_size=kernel_size)
        if projection.means2d.requires_grad:
            projection.means2d.retain_grad()
        centres = _centres(projection)
        images = self._blend(projection, centres, background, camera.width, camera.height)
        absolute = (lambda: _absolute(centres)) if self.absolute_gradients else None
        return RenderOutput(*images, projection.means2d, projection.radii, absolute)

    def project(
        self, splats: Splats, camera: Camera, *, sh_degree: int, kernel_size: float = KERNEL_SIZE
    ) -> Projection:
        """Bring Gaussians to the screen; see ``Projection``.

        Raises:
            BagsError: another float type, shapes that do not fit, too high an SH degree.
        """
        check_splats(splats, sh_degree)
        if splats.means.dtype != torch.float32:
            raise BagsError(f"splats.means is {splats.means.dtype}: the gsplat rasteriser takes float32")
        camera = camera.to(splats.means.device, torch.float32)
        width, height = _frame(camera)
        sizes, means2d, _, conics, compensations = self.gsplat.fully_fused_projection(
            splats.means, None, splats.rotations, splats.scales,
            _world_to_camera(camera)[None], _intrinsics(camera, width, height).to(splats.means)[None],
            width, height, eps2d=kernel_size, near_plane=NEAR, calc_compensations=True,
        )  # fmt: skip
        means2d = means2d[0] + means2d.new_tensor([camera.cx - width / 2, camera.cy - height / 2])
        radii = _radii((sizes[0] > 0).all(dim=1), means2d, conics[0], camera)

        offsets = splats.means - camera.center
        coefficients = torch.cat([splats.sh_dc, splats.sh_rest], dim=1)
        seen = self.gsplat.spherical_harmonics(sh_degree, offsets, coefficients, masks=radii > 0)
        with torch.no_grad():
            radii = torch.where(seen.isfinite().all(dim=1) & splats.opacities.isfinite(), radii, 0)
        # Rows that are not drawn hold uninitialised memory: they are replaced before anything is computed from them.
        means2d, conics, colours, compensation, distances = (
            torch.where((radii > 0).view(-1, *[1] * (values.ndim - 1)), values, 0)
            for values in (means2d, conics[0], seen, compensations[0], offsets.norm(dim=1))
        )
        det = _determinant(conics.detach())  # of the inverse covariance
        solid = (compensation.detach().square() > MIN_DETERMINANT * det) & (MIN_DETERMINANT * det < 1)
        opacities = splats.opacities * torch.where(solid, compensation, 0)
        colours = torch.where((radii > 0)[:, None], (colours + 0.5).clamp_min(0), 0)
        return Projection(means2d, conics, colours, opacities, distances, radii)

    def rasterize(
        self, projection: Projection, background: Tensor, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Blend projected Gaussians; returns rgb (3, H, W), depth (H, W), alpha (H, W)."""
        return self._blend(projection, _centres(projection), background, width, height)

    def _blend(
        self, projection: Projection, centres: Tensor, background: Tensor, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        columns, rows = math.ceil(width / TILE), math.ceil(height / TILE)
        # Our own pixel coordinates on purpose: they are what our tiles are cut in.
        means2d, distances = projection.means2d.detach()[None], projection.distances.detach()[None]
        _, keys, order = self.gsplat.isect_tiles(means2d, _reach(projection)[None], distances, TILE, columns, rows)
        features = torch.cat([projection.colours, projection.distances[:, None]], dim=1)
        behind = torch.cat([background, background.new_zeros(1)])
        layers, alpha = self.gsplat.rasterize_to_pixels(
            centres, projection.conics[None], features[None], projection.opacities[None],
            width, height, TILE, self.gsplat.isect_offset_encode(keys, 1, columns, rows), order,
            backgrounds=behind[None], absgrad=self.absolute_gradients,
        )  # fmt: skip
        return layers[0, :, :, :3].permute(2, 0, 1), layers[0, :, :, 3], alpha[0, :, :, 0]


def _frame(camera: Camera) -> tuple[int, int]:
    """Size in pixels of the frame around the principal point that gsplat clamps directions and culls by.

    It is the photo's, whose field of view the clamp belongs to, unless the image reaches beyond it by more than the
    half pixel that no pixel centre lies in.
    """

    def cover(whole: int, centre: float, size: int) -> int:
        return max(whole, math.ceil(2 * max(centre, size - 1 - centre) - 1e-6))

    return cover(camera.width, camera.cx, camera.width), cover(camera.height, camera.cy, camera.height)


def _world_to_camera(camera: Camera) -> Tensor:
    """(4, 4), column vectors."""
    matrix = torch.eye(4, dtype=camera.rotation.dtype, device=camera.rotation.device)
    matrix[:3, :3], matrix[:3, 3] = camera.rotation, camera.translation
    return matrix


def _intrinsics(camera: Camera, width: int, height: int) -> Tensor:
    """(3, 3) of a frame whose centre is the principal point."""
    return torch.tensor([[camera.fx, 0, width / 2], [0, camera.fy, height / 2], [0, 0, 1]])


def _determinant(conics: Tensor) -> Tensor:
    return conics[:, 0] * conics[:, 2] - conics[:, 1].square()


@torch.no_grad()
def _radii(seen: Tensor, means2d: Tensor, conics: Tensor, camera: Camera) -> Tensor:
    """(N,) int32 ``ceil(3 sqrt(largest eigenvalue))``, 0 where no tile of the image is touched."""
    xx, xy, yy = conics.unbind(-1)
    largest = ((xx + yy) / 2 + (((xx - yy) / 2).square() + xy.square()).sqrt()) / _determinant(conics)
    size = (RADIUS_SIGMAS * largest.sqrt()).ceil().clamp(max=MAX_RADIUS)
    end = means2d.new_tensor([math.ceil(camera.width / TILE), math.ceil(camera.height / TILE)]) * TILE
    touches = (means2d + size[:, None] >= 0).all(dim=1) & (means2d - size[:, None] < end).all(dim=1)
    return torch.where(seen & touches & conics.isfinite().all(dim=1), size, 0).to(torch.int32)


@torch.no_grad()
def _reach(projection: Projection) -> Tensor:
    """(N, 2) int32 half sides of the rectangle outside which alpha is below 1/255, at most the radius."""
    variances = projection.conics[:, [2, 0]] / _determinant(projection.conics)[:, None]
    sigmas = (2 * (projection.opacities / MIN_ALPHA).log().clamp_min(0)).sqrt()
    reach = torch.minimum((sigmas[:, None] * variances.sqrt()).ceil(), projection.radii[:, None].float())
    return reach.nan_to_num(0).to(torch.int32)


def _centres(projection: Projection) -> Tensor:
    """(1, N, 2) centres where gsplat's pixels lie."""
    return (projection.means2d + 0.5)[None]


def _absolute(centres: Tensor) -> Tensor | None:
    """What gsplat leaves on its input in the backward pass, (N, 2)."""
    gradients = getattr(centres, "absgrad", None)
    return None if gradients is None else gradients[0]
