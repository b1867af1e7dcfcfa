"""The CUDA rasteriser: an adapter of gsplat (Apache-2.0, https://github.com/nerfstudio-project/gsplat), 1.5.

gsplat projects, sorts and blends; this module gives it our conventions (docs/method.md section 2) and takes its
results back into them:

* gsplat's pixel centres lie on halves, ours on integers: 0.5 is added to the centres where it blends, nowhere else.
* It sorts by, and the fourth channel holds, the *distance* from the camera centre instead of gsplat's view-space z.
* Tiles are those of our square ``mean +- radius``, less those where alpha is below 1/255 anyway.
* gsplat clamps directions relative to its image's edges. It is therefore given the frame of the whole photo, centred
  on the principal point, and the centres are shifted to the pixels asked for afterwards.
* Its fused projection drops what it finds outside that frame, by a radius of its own. Its unfused parts do not, so
  these are used, and the 2D Mip filter, the radii and the near plane are ours.

What remains different is listed in docs/rasterizers.md. gsplat is imported by ``load`` only.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bags.errors import BagsError, to_install
from bags.rendering.base import KERNEL_SIZE, MIN_ALPHA, NEAR, TILE, Projection, check_splats, touches_image
from bags.rendering.reference import filter2d
from bags.types import Camera, RenderOutput, Splats

FUNCTIONS = (
    "quat_scale_to_covar_preci",
    "proj",
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
        raise BagsError(f"rasterizer.name=gsplat: {error}; install it with: {to_install('cuda')}") from error
    missing = [name for name in FUNCTIONS if not hasattr(gsplat, name)]
    if missing:
        raise BagsError(
            f"rasterizer.name=gsplat: version {getattr(gsplat, '__version__', 'unknown')} lacks {', '.join(missing)}; "
            f"install a fitting one with: {to_install('cuda')}"
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
        view = splats.means @ camera.rotation.T + camera.translation
        in_front = view.detach()[:, 2] > NEAR
        # What is not drawn stands at a harmless place: 0 times infinity would poison the gradients.
        view = torch.where(in_front[:, None], view, view.new_tensor([0.0, 0.0, 1.0]))
        means2d, (a, b, c) = self._project(view, splats, camera)
        conics, compensation, size = filter2d(a, b, c, kernel_size)
        opacities = splats.opacities * compensation

        offsets = splats.means - camera.center
        distances = offsets.norm(dim=1)
        coefficients = torch.cat([splats.sh_dc, splats.sh_rest], dim=1)
        colours = (self.gsplat.spherical_harmonics(sh_degree, offsets, coefficients) + 0.5).clamp_min(0)
        with torch.no_grad():
            on_image = touches_image(means2d, size, camera.width, camera.height)
            finite = torch.cat([conics, colours, opacities[:, None]], dim=1).isfinite().all(dim=1)
            drawn = in_front & on_image & finite
            radii = torch.where(drawn, size, 0).to(torch.int32)

        def shown(values: Tensor) -> Tensor:
            return torch.where(drawn.view(-1, *[1] * (values.ndim - 1)), values, 0)

        return Projection(*(shown(v) for v in (means2d, conics, colours, opacities, distances, radii)))

    def _project(self, view: Tensor, splats: Splats, camera: Camera) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Centres (N, 2) in our pixels and xx, xy, yy (N,) of the 2D covariances, for view-space centres (N, 3)."""
        covariances, _ = self.gsplat.quat_scale_to_covar_preci(splats.rotations, splats.scales, compute_preci=False)
        width, height = camera.photo_size
        middle = view.new_tensor([width / 2, height / 2])
        intrinsics = torch.diag(view.new_tensor([camera.fx, camera.fy, 1.0]))
        intrinsics[:2, 2] = middle
        turned = camera.rotation @ covariances @ camera.rotation.T
        means2d, flat = self.gsplat.proj(view[None], turned[None], intrinsics[None], width, height)
        means2d = means2d[0] - middle + view.new_tensor([camera.cx, camera.cy])
        return means2d, (flat[0, :, 0, 0], flat[0, :, 0, 1], flat[0, :, 1, 1])

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


@torch.no_grad()
def _reach(projection: Projection) -> Tensor:
    """(N, 2) int32 half sides of the rectangle outside which alpha is below 1/255, at most the radius."""
    xx, xy, yy = projection.conics.unbind(-1)
    variances = torch.stack([yy, xx], dim=1) / (xx * yy - xy.square())[:, None]
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
