"""An adapter of diff-gaussian-rasterization, which users install themselves (research-only licence, not distributed).

Builds of several projects share that module name. They are distinguished by their public signatures: the fields of
``GaussianRasterizationSettings`` and the parameters of ``GaussianRasterizer.forward``. Only builds with the 2D Mip
filter (a field ``kernel_size``: Mip-Splatting's and its derivatives, including that of BAGS) can draw what
docs/method.md section 2 describes; others are rejected. What the interface lacks is added here:

* depth and alpha, for all builds, by a second pass whose colours are (distance, 1, 0);
* the principal point, by the off-centre entries of the projection matrix (the field ``subpixel_offset``, if there is
  one, stays zero);
* a part of a photo, by cropping the whole render: this interface ties the clamp of directions to the image size.

Its gradient of the screen positions is per NDC unit and is converted to pixels. Written from the interface alone.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from bags.errors import BagsError
from bags.rendering.base import NEAR, Rasterizer, check_splats, touches_image
from bags.types import Camera, RenderOutput, Splats

MODULE = "diff_gaussian_rasterization"
NEAR_CLIP, FAR_CLIP = 0.01, 100.0  # they only scale the third NDC coordinate, which is not used
FIELDS = {
    "image_height", "image_width", "tanfovx", "tanfovy", "kernel_size", "subpixel_offset", "bg", "scale_modifier",
    "viewmatrix", "projmatrix", "sh_degree", "campos", "prefiltered", "debug",
}  # fmt: skip
PARAMETERS = {"means3D", "means2D", "opacities", "shs", "colors_precomp", "scales", "rotations"}


def load() -> DiffGaussianRasterizer:
    """Import the installed build and create the rasteriser.

    Raises:
        BagsError: it is not installed, it cannot be imported, or the build lacks what the method needs.
    """
    try:
        module = importlib.import_module(MODULE)
        settings, rasterizer = module.GaussianRasterizationSettings, module.GaussianRasterizer
        known, parameters = set(settings._fields), set(inspect.signature(rasterizer.forward).parameters)
        optional = set(settings._field_defaults)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BagsError(
            f"rasterizer.name=diff_gaussian: no usable {MODULE} ({error}); docs/rasterizers.md says how to build it; "
            "rasterizer.name=gsplat needs no build"
        ) from error
    if "kernel_size" not in known:
        raise BagsError(
            f"rasterizer.name=diff_gaussian: the installed {MODULE} has no 2D Mip filter (no setting kernel_size; its "
            "own antialiasing has a different, fixed width): build Mip-Splatting's or BAGS' version, or use gsplat"
        )
    strange = sorted((known - FIELDS - optional) | (FIELDS - {"subpixel_offset"} - known))
    strange += sorted(PARAMETERS - parameters)
    if strange:
        raise BagsError(
            f"rasterizer.name=diff_gaussian: the installed {MODULE} is an unknown build (it differs in "
            f"{', '.join(strange)}): build Mip-Splatting's or BAGS' version, or use gsplat"
        )
    return DiffGaussianRasterizer(settings, rasterizer)


@dataclass(frozen=True)
class DiffGaussianRasterizer(Rasterizer):
    """A ``Rasterizer`` based on the public classes of a build that ``load`` accepted. Float32 CUDA tensors only."""

    settings: Any
    rasterizer: Any

    def draw(self, splats: Splats, camera: Camera, degree: int, background: Tensor, kernel_size: float) -> RenderOutput:
        """Render the colours, then depth and alpha as the colours of a second pass."""
        check_splats(splats, degree, float32_for="diff_gaussian")
        camera = camera.to(splats.means.device, torch.float32)
        whole, left, top = _whole(camera)
        means2d = _positions(splats, camera)
        # A zero that receives the gradient per NDC unit; through it means2d gets the gradient per pixel.
        across, down = (means2d - means2d.detach()).unbind(1)
        screen = torch.stack([across * (2 / whole.width), down * (2 / whole.height), torch.zeros_like(across)], dim=1)

        def passed(behind: Tensor, **colours: Tensor) -> tuple[Tensor, Tensor]:
            settings = self._settings(whole, degree, behind, kernel_size)
            outputs = self.rasterizer(settings)(
                means3D=splats.means, means2D=screen, opacities=splats.opacities[:, None],
                scales=splats.scales, rotations=torch.nn.functional.normalize(splats.rotations, dim=1), **colours,
            )  # fmt: skip
            image = outputs[0][:, top : top + camera.height, left : left + camera.width]
            return image, next(o for o in outputs[1:] if not o.is_floating_point())

        rgb, radii = passed(background, shs=torch.cat([splats.sh_dc, splats.sh_rest], dim=1))
        distances = (splats.means - camera.center).norm(dim=1)
        layers, _ = passed(
            torch.zeros_like(background),
            colors_precomp=torch.stack([distances, torch.ones_like(distances), torch.zeros_like(distances)], dim=1),
        )
        shown = touches_image(means2d.detach(), radii, camera.width, camera.height)
        return RenderOutput(rgb, layers[0], layers[1], means2d, torch.where(shown, radii, 0).to(torch.int32))

    def _settings(self, camera: Camera, sh_degree: int, background: Tensor, kernel_size: float) -> Any:
        view = torch.eye(4, device=background.device)
        view[:3, :3], view[:3, 3] = camera.rotation, camera.translation
        values: dict[str, Any] = {
            "image_height": camera.height,
            "image_width": camera.width,
            "tanfovx": camera.width / (2 * camera.fx),
            "tanfovy": camera.height / (2 * camera.fy),
            "kernel_size": kernel_size,
            "bg": background,
            "scale_modifier": 1.0,
            # This interface multiplies row vectors from the left.
            "viewmatrix": view.T.contiguous(),
            "projmatrix": _clip(camera, view).T.contiguous(),
            "sh_degree": sh_degree,
            "campos": camera.center,
            "prefiltered": False,
            "debug": False,
        }
        if "subpixel_offset" in self.settings._fields:
            values["subpixel_offset"] = background.new_zeros(camera.height, camera.width, 2)
        return self.settings(**values)


def _whole(camera: Camera) -> tuple[Camera, int, int]:
    """The smallest image that contains the whole photo and ``camera``'s image, and where in it the latter begins."""
    (x, y), (width, height) = camera.corner, camera.photo_size
    left, top = max(0, -x), max(0, -y)  # of the photo in that image
    right, bottom = max(width, x + camera.width), max(height, y + camera.height)
    size = right + left, bottom + top
    offset = (camera.cx + x + left - (size[0] - 1) / 2, camera.cy + y + top - (size[1] - 1) / 2)
    return replace(camera, width=size[0], height=size[1], offset=offset), x + left, y + top


def _clip(camera: Camera, view: Tensor) -> Tensor:
    """(4, 4) world to clip space, column vectors: NDC ``x`` is at pixel ``((x + 1) width - 1) / 2``.

    The rows of ``view`` (4, 4), world to camera, are combined with plain numbers: a matrix of these would have to be
    copied to the device.
    """
    x, y, z, one = view
    depth = FAR_CLIP - NEAR_CLIP
    return torch.stack(
        [
            (2 * camera.fx / camera.width) * x + (2 * camera.offset[0] / camera.width) * z,
            (2 * camera.fy / camera.height) * y + (2 * camera.offset[1] / camera.height) * z,
            (FAR_CLIP / depth) * z - (FAR_CLIP * NEAR_CLIP / depth) * one,
            z,
        ]
    )


def _positions(splats: Splats, camera: Camera) -> Tensor:
    """(N, 2) centres in pixels, a leaf that receives the screen-space gradient; zero behind the near plane."""
    wanted = torch.is_grad_enabled() and any(getattr(splats, field.name).requires_grad for field in fields(splats))
    with torch.no_grad():
        x, y, z = (splats.means @ camera.rotation.T + camera.translation).unbind(-1)
        pixels = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], dim=1)
        return torch.where((z > NEAR)[:, None], pixels, 0).requires_grad_(wanted)
