"""The CUDA rasteriser: an adapter of gsplat (Apache-2.0, https://github.com/nerfstudio-project/gsplat), 1.5.

gsplat evaluates the spherical harmonics, sorts and blends. The projection is ours (``reference.to_screen``,
``filter2d``): it is exact for needle-like Gaussians and has no additional culling rules. This module converts between
gsplat's conventions and ours (docs/method.md section 2):

* gsplat's pixel centres are at halves, ours at integers: 0.5 is added to the centres for blending, nowhere else.
* Sort key and fourth channel are the *distance* from the camera centre instead of gsplat's view-space z.
* Tiles are those of our square ``mean +- radius``, except those where alpha is below 1/255 anyway.

The host waits for the device once per render, in ``isect_tiles``, which reads the length of the tiles' lists. Numbers
are passed to the device as arguments of operations, never as tensors, each of which would be a blocking copy.

Remaining differences are listed in docs/rasterizers.md. gsplat is imported by ``why_not`` and ``load`` only.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from bags.errors import BagsError, to_install
from bags.ops.geometry import covariance_root
from bags.rendering.base import (
    KERNEL_SIZE,
    MIN_ALPHA,
    NEAR,
    TILE,
    Projection,
    TwoStageRasterizer,
    check_splats,
    touches_image,
)
from bags.rendering.gate import Gate
from bags.rendering.reference import filter2d, to_screen
from bags.types import Camera, Splats

# The functions used, with the parameters passed by position and those passed by name.
FUNCTIONS = {
    "spherical_harmonics": (("degrees_to_use", "dirs", "coeffs"), ()),
    "isect_tiles": (("means2d", "radii", "depths", "tile_size", "tile_width", "tile_height"), ()),
    "isect_offset_encode": (("isect_ids", "n_images", "tile_width", "tile_height"), ()),
    "rasterize_to_pixels": (
        ("means2d", "conics", "colors", "opacities", "image_width", "image_height", "tile_size", "isect_offsets",
         "flatten_ids"),
        ("backgrounds", "absgrad"),
    ),
}  # fmt: skip


@cache
def why_not() -> str | None:
    """Why gsplat cannot draw here, and what to do about it; None if it can. Checked once per process.

    The only reliable check is to load its kernels; a wheel without kernels compiles them at that moment. One process
    per machine does so at a time, because gsplat deletes the unfinished builds of others.
    """
    try:
        with _one_at_a_time(), contextlib.redirect_stdout(sys.stderr):  # gsplat prints to stdout
            kernels = importlib.import_module("gsplat.cuda._backend")._C
    except ModuleNotFoundError as error:
        return f"{error}; install it with: {to_install('cuda')}"
    except Exception as error:  # a failed compilation raises many kinds
        return f"gsplat's kernels cannot be loaded or compiled ({type(error).__name__}: {error}".splitlines()[0] + ")"
    if kernels is None:
        return (
            "gsplat has no compiled kernels and finds no CUDA toolkit (nvcc) to compile them: install the toolkit of "
            f"torch's CUDA version ({torch.version.cuda}) and set CUDA_HOME, or install a gsplat wheel with kernels"
        )
    return None


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold a lock in the folder in which torch compiles extensions."""
    from torch.utils.cpp_extension import get_default_build_root

    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "gsplat_by_bags.lock"):
        yield


def load(absolute_gradients: bool = False) -> TwoStageRasterizer:
    """Import gsplat and create the rasteriser.

    Args:
        absolute_gradients: also collect the absolute screen-space gradients (``RenderOutput.absolute``).

    Raises:
        BagsError: gsplat is not installed, cannot draw here, or is a version without the functions used here.
    """
    if reason := why_not():
        raise BagsError(f"rasterizer.name=gsplat: {reason}")
    gsplat = importlib.import_module("gsplat")
    if strange := [text for name in FUNCTIONS if (text := _differs(gsplat, name))]:
        raise BagsError(
            f"rasterizer.name=gsplat: version {getattr(gsplat, '__version__', 'unknown')} has {', '.join(strange)}; "
            f"install a supported version with: {to_install('cuda')}"
        )
    return two_stages(gsplat, absolute_gradients)


def _differs(gsplat: Any, name: str) -> str | None:
    """How one of gsplat's functions differs from what is needed; None: it can be called as it is here."""
    places, names = FUNCTIONS[name]
    try:
        found = inspect.signature(getattr(gsplat, name)).parameters
    except (AttributeError, TypeError, ValueError):
        return f"no {name}"
    needed = [p.name for p in found.values() if p.default is p.empty]
    fits = tuple(found)[: len(places)] == places and set(needed) <= set(places) and set(names) <= set(found)
    return None if fits else f"a different {name}({', '.join(found)})"


@dataclass(frozen=True)
class GsplatProjection(Projection):
    """A ``Projection`` with additional inputs for gsplat.

    Attributes:
        centres: (1, N, 2) centres in gsplat's pixel coordinates.
        reach: (N, 2) int32 half sides of the rectangle outside which alpha is below 1/255, at most the radius.
    """

    centres: Tensor
    reach: Tensor


def two_stages(gsplat: Any, absolute_gradients: bool = False) -> TwoStageRasterizer:
    """The rasteriser based on gsplat's functions, with ``RenderOutput.absolute`` if ``absolute_gradients``."""
    stages = _Stages(gsplat, absolute_gradients)
    return TwoStageRasterizer(stages.project, stages.rasterize, _absolute if absolute_gradients else None)


@dataclass(frozen=True)
class _Stages:
    """The two stages that ``base`` describes, based on gsplat's functions. Float32 CUDA tensors only.

    Attributes:
        gsplat: the package.
        absolute_gradients: let gsplat collect them.
    """

    gsplat: Any
    absolute_gradients: bool

    def project(
        self, splats: Splats, camera: Camera, *, sh_degree: int, kernel_size: float = KERNEL_SIZE
    ) -> GsplatProjection:
        """Project Gaussians to the screen; see ``Projection``.

        Raises:
            BagsError: another float type, wrong shapes, or too high an SH degree.
        """
        check_splats(splats, sh_degree, float32_for="gsplat")
        camera = camera.to(splats.means.device, torch.float32)
        gate = Gate()
        splats = gate.through(splats)
        means2d, root, z = to_screen(splats.means, covariance_root(splats.scales, splats.rotations), camera)
        conics, compensation, size = filter2d(root, kernel_size)
        opacities = splats.opacities * compensation

        offsets = splats.means - camera.center
        coefficients = torch.cat([splats.sh_dc, splats.sh_rest], dim=1)
        colours = (self.gsplat.spherical_harmonics(sh_degree, offsets, coefficients) + 0.5).clamp_min(0)
        with torch.no_grad():
            on_image = touches_image(means2d, size, camera.width, camera.height)
            finite = torch.cat([conics, colours, opacities[:, None]], dim=1).isfinite().all(dim=1)
            gate.drawn = drawn = (z > NEAR) & on_image & finite
            reach = torch.minimum(_reach(root, opacities, kernel_size), size[:, None])
            radii = torch.where(drawn, size, 0).to(torch.int32)
            reach = torch.where(drawn[:, None], reach, 0).to(torch.int32)

        def shown(values: Tensor) -> Tensor:
            return torch.where(drawn.view(-1, *[1] * (values.ndim - 1)), values, 0)

        values = (means2d, conics, colours, opacities, offsets.norm(dim=1))
        means2d, conics, colours, opacities, distances = map(shown, values)
        return GsplatProjection(means2d, conics, colours, opacities, distances, radii, (means2d + 0.5)[None], reach)

    def rasterize(
        self, projection: GsplatProjection, background: Tensor, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Blend projected Gaussians; returns rgb (3, H, W), depth (H, W), alpha (H, W)."""
        if len(projection.radii) == 0:  # gsplat divides by their number
            empty = background.new_zeros(height, width)
            return background[:, None, None].expand(3, height, width), empty, empty
        columns, rows = math.ceil(width / TILE), math.ceil(height / TILE)
        # Deliberately our pixel coordinates: our tiles are defined in them.
        means2d, distances = projection.means2d.detach()[None], projection.distances.detach()[None]
        _, keys, order = self.gsplat.isect_tiles(means2d, projection.reach[None], distances, TILE, columns, rows)
        features = torch.cat([projection.colours, projection.distances[:, None]], dim=1)
        behind = torch.cat([background, background.new_zeros(1)])
        layers, alpha = self.gsplat.rasterize_to_pixels(
            projection.centres, projection.conics[None], features[None], projection.opacities[None],
            width, height, TILE, self.gsplat.isect_offset_encode(keys, 1, columns, rows), order,
            backgrounds=behind[None], absgrad=self.absolute_gradients,
        )  # fmt: skip
        return layers[0, :, :, :3].permute(2, 0, 1), layers[0, :, :, 3], alpha[0, :, :, 0]


def _reach(root: Tensor, opacities: Tensor, kernel_size: float) -> Tensor:
    """(N, 2) pixels across and down, half sides of the rectangle outside which alpha is below 1/255."""
    variances = root.square().sum(dim=2) + kernel_size
    sigmas = 2 * (opacities / MIN_ALPHA).log().clamp_min(0)  # squared
    return (variances * sigmas[:, None]).sqrt().ceil()


def _absolute(projection: GsplatProjection) -> Tensor | None:
    """(N, 2) absolute gradients, which gsplat's backward pass stores on its input."""
    gradients = getattr(projection.centres, "absgrad", None)
    return None if gradients is None else gradients[0]
