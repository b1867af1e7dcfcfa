"""Gaussians as PLY files in the common layout of 3DGS viewers and tools."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from bags.errors import DataError
from bags.io.atomic import replacing
from bags.io.ply_vertices import read_vertices, write_vertices
from bags.ops.filter3d import opacity_coefficient
from bags.types import Splats

FILTER_COLUMN = "filter_3D"
MODE = "SplatRenderMode: mip"  # tells viewers to draw with antialiasing
EDGE = 1e-7  # least distance of opacities from 0 and 1, for finite logits; float32 steps near 1 are 6e-8


@dataclass(frozen=True)
class PlyGaussians:
    """N Gaussians as in a PLY file: float32 CPU tensors, before activation.

    Attributes:
        means: (N, 3) world positions.
        sh_dc, sh_rest: (N, 1, 3) and (N, S, 3) spherical harmonics, S = 0, 3, 8 or 15.
        opacity_logits: (N,).
        log_scales: (N, 3) natural logarithm of the standard deviations.
        rotations: (N, 4) quaternions wxyz.
        filter_sigma: (N,) standard deviation of Mip-Splatting's 3D filter if it is *not* baked in; else None.
    """

    means: Tensor
    sh_dc: Tensor
    sh_rest: Tensor
    opacity_logits: Tensor
    log_scales: Tensor
    rotations: Tensor
    filter_sigma: Tensor | None = None


def from_splats(splats: Splats) -> PlyGaussians:
    """Gaussians as every 3DGS viewer expects them, with the 3D filter baked into scale and opacity.

    Otherwise, viewers that do not know the filter would show Gaussians too thin and too opaque. Quaternions are
    normalised, because some viewers assume it; opacities are kept ``EDGE`` away from 0 and 1.
    """
    return PlyGaussians(
        means=splats.means,
        sh_dc=splats.sh_dc,
        sh_rest=splats.sh_rest,
        opacity_logits=splats.opacities.double().logit(eps=EDGE).float(),
        log_scales=splats.scales.log(),
        rotations=normalize(splats.rotations, dim=1),
    )


def to_splats(gaussians: PlyGaussians) -> Splats:
    """The Gaussians as they are drawn: activated, with their 3D filter, if any, applied (docs/method.md section 1)."""
    scales, opacities = gaussians.log_scales.exp(), gaussians.opacity_logits.sigmoid()
    if gaussians.filter_sigma is not None:
        opacities = opacities * opacity_coefficient(scales, gaussians.filter_sigma)
        scales = (scales.square() + gaussians.filter_sigma[:, None].square()).sqrt()
    return Splats(gaussians.means, scales, gaussians.rotations, opacities, gaussians.sh_dc, gaussians.sh_rest)


def _columns(rest: int) -> list[str]:
    return [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(3 * rest)),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]


def taken(gaussians: PlyGaussians, rows: Tensor) -> PlyGaussians:
    """The ``rows`` of ``gaussians``, given as indices or as a mask."""
    present = {field.name: getattr(gaussians, field.name) for field in fields(PlyGaussians)}
    return replace(gaussians, **{name: part[rows] for name, part in present.items() if part is not None})


def write_ply(path: str | Path, gaussians: PlyGaussians) -> None:
    """Write ``gaussians`` to ``path`` atomically; see ``write``."""
    with replacing(path) as temporary:
        write(temporary, gaussians)


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write ``gaussians`` (binary, little endian, float32).

    Columns: ``x y z nx ny nz f_dc_* f_rest_* opacity scale_* rot_*``, the harmonics channel by channel, normals zero;
    then Mip-Splatting's ``filter_3D`` if there is a filter. A comment tells viewers to draw it like Mip-Splatting.
    """
    count, rest = gaussians.sh_rest.shape[:2]
    parts = [
        gaussians.means,
        torch.zeros(count, 3),
        gaussians.sh_dc.transpose(1, 2).reshape(count, 3),
        gaussians.sh_rest.transpose(1, 2).reshape(count, 3 * rest),
        gaussians.opacity_logits[:, None],
        gaussians.log_scales,
        gaussians.rotations,
    ]
    names = _columns(rest)
    if gaussians.filter_sigma is not None:
        parts.append(gaussians.filter_sigma[:, None])
        names.append(FILTER_COLUMN)
    table = torch.cat([part.detach().float().cpu() for part in parts], dim=1).contiguous().numpy()
    rows = table.view([(name, "<f4") for name in names])[:, 0]
    write_vertices(path, rows, comments=(MODE,))


def read_ply(path: str | Path) -> PlyGaussians:
    """Read what ``write_ply`` or another 3DGS tool wrote; normals and unknown columns are ignored.

    Raises:
        DataError: there is no such file, or it is not a PLY file, is truncated, lacks columns or has non-finite values.
    """
    path = Path(path)
    try:
        vertices = read_vertices(path)
    except Exception as error:  # a damaged file may raise many kinds
        raise DataError(
            f"{path}: cannot be read as a PLY file of Gaussians ({str(error) or type(error).__name__})"
        ) from error
    present = vertices.dtype.names or ()
    rest, odd = divmod(sum(name.startswith("f_rest_") for name in present), 3)
    missing = [name for name in _columns(rest) if name not in present and name not in ("nx", "ny", "nz")]
    if missing or odd or rest not in (0, 3, 8, 15):
        problem = f"columns {', '.join(missing)} are missing" if missing else f"{3 * rest + odd} f_rest columns"
        raise DataError(f"{path}: {problem}; not a PLY file of Gaussians in the 3DGS layout")

    count = len(vertices)

    def take(*names: str) -> Tensor:
        columns = [vertices[name] for name in names]
        if any(column.dtype.kind not in "fiu" for column in columns):
            raise DataError(
                f"{path}: {', '.join(names)} are not numbers; not a PLY file of Gaussians in the 3DGS layout"
            )
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are rejected
            table = np.stack([column.astype(np.float32) for column in columns], axis=1)
        if bad := int((~np.isfinite(table)).any(axis=1).sum()):
            raise DataError(f"{path}: {bad} of {count} Gaussians have non-finite values ({names[0]}, ...); remove them")
        return torch.from_numpy(table)

    harmonics = [f"f_rest_{i}" for i in range(3 * rest)]
    sh_rest = take(*harmonics).reshape(count, 3, rest).transpose(1, 2) if rest else torch.zeros(count, 0, 3)
    return PlyGaussians(
        means=take("x", "y", "z"),
        sh_dc=take("f_dc_0", "f_dc_1", "f_dc_2").reshape(count, 1, 3),
        sh_rest=sh_rest.contiguous(),
        opacity_logits=take("opacity")[:, 0],
        log_scales=take("scale_0", "scale_1", "scale_2"),
        rotations=take("rot_0", "rot_1", "rot_2", "rot_3"),
        filter_sigma=take(FILTER_COLUMN)[:, 0] if FILTER_COLUMN in present else None,
    )
