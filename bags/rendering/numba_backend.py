"""The CPU rasteriser: autograd functions around the Numba kernels.

``project`` and ``rasterize`` are public and separate so that each can be timed. float32 CPU tensors only. The first
call on a machine compiles (about 20 s); the result is cached on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bags.errors import BagsError
from bags.ops.threads import piece_count, run_pieces
from bags.rendering import numba_projection, numba_raster
from bags.rendering.base import DIRECTION_CLAMP, KERNEL_SIZE, TILE, Projection, check_splats
from bags.types import Camera, Splats

SMALLEST_PIECE = 2000  # fewest Gaussians worth a thread
SMALLEST_TILES = 4  # fewest tiles worth a thread


def project(splats: Splats, camera: Camera, *, sh_degree: int, kernel_size: float = KERNEL_SIZE) -> Projection:
    """Project Gaussians to the screen (docs/method.md section 2).

    Args:
        splats: N Gaussians, float32 on the CPU.
        camera: the view; gets no gradient.
        sh_degree: highest degree of spherical harmonics used, 0 to 3.
        kernel_size: variance of the 2D Mip filter, pixels squared.

    Returns:
        Input for ``rasterize``; differentiable with respect to the six tensors of ``splats``.

    Raises:
        BagsError: another device or float type, wrong shapes, or too high an SH degree.
    """
    check_splats(splats, sh_degree)
    inputs = {f"splats.{name}": getattr(splats, name) for name in Splats.__dataclass_fields__}
    view, size = _pack_view(camera, kernel_size), np.array([camera.width, camera.height], np.float64)
    return Projection(*_Project.apply(view, size, sh_degree, *_checked(inputs)))


def rasterize(projection: Projection, background: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Blend projected Gaussians front to back (docs/method.md section 2).

    Args:
        projection: what ``project`` returned.
        background: (3,) colour behind everything, float32.
        width: image width in pixels.
        height: image height in pixels.

    Returns:
        rgb (3, H, W), depth (H, W) as sum of alpha * transmittance * distance, alpha (H, W); differentiable with
        respect to everything in ``projection`` but the radii, and to the background.

    Raises:
        BagsError: another device or float type.
    """
    floats = {f"projection.{name}": getattr(projection, name) for name in Projection.__dataclass_fields__}
    radii = floats.pop("projection.radii")
    return _Rasterize.apply(radii, width, height, *_checked({**floats, "background": background}))


def _checked(tensors: dict[str, Tensor]) -> list[Tensor]:
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise BagsError(
                f"{name} is {tensor.dtype} on {tensor.device}: the numba rasteriser needs float32 on the CPU "
                "(rasterizer.name=reference takes any type and device)"
            )
    return [tensor.contiguous() for tensor in tensors.values()]


def _pack_view(camera: Camera, kernel_size: float) -> np.ndarray:
    rotation, translation, center = (
        t.detach().to("cpu", torch.float64).numpy().ravel()
        for t in (camera.rotation, camera.translation, camera.to("cpu", torch.float64).center)
    )
    bounds = [DIRECTION_CLAMP * half for half in camera.half_field]
    intrinsics = [camera.fx, camera.fy, camera.cx, camera.cy, *bounds, kernel_size]
    return np.concatenate([rotation, translation, center, intrinsics])


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, view: np.ndarray, size: np.ndarray, degree: int, *splats: Tensor) -> tuple[Tensor, ...]:
        count = len(splats[0])
        outputs = [torch.empty(count, n) if n else torch.empty(count) for n in (2, 3, 3, 0, 0)]
        radii = torch.empty(count, dtype=torch.int32)
        pieces = piece_count(count, SMALLEST_PIECE)
        run_pieces(numba_projection.project, pieces, view, size, degree, *_arrays(*splats, *outputs, radii))
        ctx.view, ctx.degree = view, degree
        ctx.save_for_backward(*splats, outputs[2], radii)
        ctx.mark_non_differentiable(radii)
        return (*outputs, radii)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *g_outputs: Tensor) -> tuple[Tensor | None, ...]:
        means, scales, rotations, opacities, sh_dc, sh_rest, colours, radii = ctx.saved_tensors
        g_splats = [torch.empty_like(t) for t in (means, scales, rotations, opacities, sh_dc, sh_rest)]
        run_pieces(
            numba_projection.project_backward, piece_count(len(means), SMALLEST_PIECE), ctx.view, ctx.degree,
            *_arrays(means, scales, rotations, opacities, sh_rest, colours, radii, *g_outputs[:5], *g_splats),
        )  # fmt: skip
        return (None, None, None, *g_splats)


def _front_to_back(distances: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Indices of drawn Gaussians, nearest first, ties by index.

    Positive floats sort like their bits, so distance and index fit into one integer key, which numpy sorts fastest.
    """
    drawn = np.flatnonzero(radii)
    keys = distances[drawn].view(np.uint32).astype(np.uint64) << np.uint64(32) | drawn.astype(np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, radii: Tensor, width: int, height: int, *inputs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:  # inputs: means2d, conics, colours, opacities, distances, background
        means2d, conics, colours, opacities, distances, background = _arrays(*inputs)
        order = _front_to_back(distances, radii.numpy())
        columns, rows = -(-width // TILE), -(-height // TILE)
        pieces = piece_count(len(order), SMALLEST_PIECE)
        packed, pairs = np.empty((len(order), numba_raster.PACKED), np.float32), np.empty(len(order), np.int64)
        cursors = np.empty((pieces, columns * rows), np.int64)
        flat = order, means2d, conics, colours, opacities, distances, radii.numpy()
        run_pieces(numba_raster.pack, pieces, *flat, width, height, packed, pairs, cursors)
        starts, offsets = np.empty(columns * rows + 1, np.int64), np.empty(len(order) + 1, np.int64)
        numba_raster.lay_out(cursors, pairs, starts, offsets)
        entries, slot_of = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
        run_pieces(numba_raster.fill_tiles, pieces, packed, offsets, columns, cursors, entries, slot_of)

        rgb, depth, alpha, final = (torch.empty(*n, height, width) for n in ((3,), (), (), (2,)))
        ends = np.empty(columns * rows, np.int64)
        run_pieces(
            numba_raster.blend, piece_count(columns * rows, SMALLEST_TILES),
            packed, starts, entries, background, *_arrays(rgb, depth, alpha), ends, final.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(inputs[1], inputs[3], inputs[5], final)
        ctx.lists = order, offsets, packed, starts, ends, entries, slot_of
        return rgb, depth, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *g_images: Tensor) -> tuple[Tensor | None, ...]:
        conics, opacities, background, final = ctx.saved_tensors
        order, offsets, packed, starts, ends, entries, slot_of = ctx.lists
        slots = np.empty((len(entries), numba_raster.MOMENTS), np.float32)
        run_pieces(
            numba_raster.blend_backward, piece_count(len(ends), SMALLEST_TILES),
            packed, starts, ends, entries, slot_of, *_arrays(background, final, *g_images), slots,
        )  # fmt: skip
        count = len(conics)
        gradients = [torch.zeros(count, n) if n else torch.zeros(count) for n in (2, 3, 3, 0, 0)]
        run_pieces(
            numba_raster.gather_gradients, piece_count(len(order), SMALLEST_PIECE),
            order, offsets, slots, *_arrays(conics, opacities, *gradients),
        )  # fmt: skip
        g_background = (g_images[0] * final[0]).sum(dim=(1, 2)) if ctx.needs_input_grad[-1] else None
        return (None, None, None, *gradients, g_background)
