"""Blur of a moving camera, from one sharp image and the points that its pixels show.

While the shutter is open the camera moves, and a pixel sees one point after another. All of them are looked up in the
sharp image, under the assumption that they are as far away as the point which the pixel shows there. So an exposure
costs one render instead of one per pose. It differs from the mean of such renders only beside depth edges, where
foreground moves across background.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from bags.ops.threads import run_pieces, thread_count

NEAREST = 1e-6  # view-space z, scene units
AT_ONCE = 4_000_000  # pixels times instants that are looked up at once without the kernels; about 1 GB with gradients


def path_blur(image: Tensor, points: Tensor, projections: Tensor, weights: Tensor) -> Tensor:
    """``B(x) = sum_t w_t I(P_t p(x))``: the image where the points are seen, by cubic convolution (Keys 1981).

    Bilinear interpolation would blur the image, by 1/6 of a pixel squared on average, and the scene would become too
    sharp to make up for it. Cubic convolution reproduces images that are quadratic in x and y.

    Gradients (first order) reach ``image`` and ``projections``. On the CPU in float32 with Numba, elsewhere with
    PyTorch, a few instants at a time.

    Args:
        image: (3, H', W') at least 2 pixels wide and high; its borders are replicated.
        points: (H, W, 3) points that the pixels show, in the camera's axes; gets no gradient. NaN is looked up in the
            image's first pixel.
        projections: (T, 3, 4) from those points to homogeneous pixels of ``image`` (``projections_along``).
        weights: (T,) of the instants; gets no gradient.

    Returns:
        (3, H, W).
    """
    image, points, weights = pad(image[None], (1, 1, 1, 1), mode="replicate")[0], points.detach(), weights.detach()
    if image.device.type == "cpu" and image.dtype == torch.float32:
        return _PathBlur.apply(image, points, projections, weights)
    some = max(1, AT_ONCE // points[..., 0].numel())
    if len(weights) <= some:
        return path_blur_reference(image, points, projections, weights)
    parts = zip(projections.split(some), weights.split(some), strict=True)
    blurred = [checkpoint(path_blur_reference, image, points, *part, use_reentrant=False) for part in parts]
    return torch.stack(blurred).sum(0)


def path_blur_reference(image: Tensor, points: Tensor, projections: Tensor, weights: Tensor) -> Tensor:
    """The same in plain PyTorch, for any device and dtype; ``image`` (3, H' + 2, W' + 2) has its borders already."""
    height, width = image.shape[1] - 2, image.shape[2] - 2
    columns, rows = places_of(points, projections).nan_to_num().unbind(-1)  # NaN is no index
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    left, up = columns.detach().long().clamp(max=width - 2), rows.detach().long().clamp(max=height - 2)
    across, down = cubic_weights(columns - left), cubic_weights(rows - up)
    found = torch.zeros((), dtype=image.dtype, device=image.device)
    for j, of_row in enumerate(down):
        for i, of_column in enumerate(across):
            found = found + of_row * of_column * image[:, up + j, left + i]
    return torch.einsum("t,ctyx->cyx", weights, found)


def cubic_weights(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the four pixels in a row around places that lie ``u`` in [0, 1] beyond the second of them."""
    v = 1 - u
    return -u * v * v / 2, (1.5 * u - 2.5) * u * u + 1, (1.5 * v - 2.5) * v * v + 1, -v * u * u / 2


def places_of(points: Tensor, projections: Tensor) -> Tensor:
    """(T, ..., 2) columns and rows at which ``points`` (..., 3) are seen by ``projections`` (T, 3, 4)."""
    last = projections[:, :, 3].reshape(-1, *[1] * (points.ndim - 1), 3)
    seen = torch.einsum("tij,...j->t...i", projections[..., :3], points) + last
    return seen[..., :2] / seen[..., 2:].clamp_min(NEAREST)


def projections_along(turns: Tensor, shifts: Tensor, focal: tuple[float, float], middle: tuple[float, float]) -> Tensor:
    """(T, 3, 4) projections of points in the axes of the moved camera into the image of the camera at its known pose.

    A point at x in the axes of the known pose is at ``turn x + shift`` in those of the moved camera. So a point at p in
    the latter is at ``turn^T (p - shift)`` in the former.

    Args:
        turns: (T, 3, 3).
        shifts: (T, 3), scene units.
        focal: lengths fx and fy, pixels.
        middle: column and row of the principal point in the image.
    """
    (fx, fy), (cx, cy) = focal, middle
    lens = turns.new_tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    back = lens @ turns.mT
    return torch.cat([back, -back @ shifts[..., None]], dim=2)


class _PathBlur(torch.autograd.Function):
    """The Numba kernels, for an image with its borders; each thread computes bands of rows."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, points: Tensor, projections: Tensor, weights: Tensor) -> Tensor:
        from bags.ops.path_blur_kernels import forward_piece

        inputs = (_side_by_side(image), points.movedim(2, 1).contiguous(), projections.contiguous(), weights)
        ctx.save_for_backward(*inputs)
        ctx.size = image.shape[1] - 2, image.shape[2] - 2
        blurred = image.new_zeros(*points.shape[:2], 4)
        colours, *others = (part.detach().numpy() for part in (*inputs, blurred))
        run_pieces(forward_piece, min(len(points), 4 * thread_count()), colours, ctx.size, *others)
        return blurred[..., :3].permute(2, 0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from bags.ops.path_blur_kernels import backward_piece

        image, points, projections, weights = ctx.saved_tensors
        height, width = gradient.shape[1:]
        bands = min(len(points), thread_count())  # each has an image of its own to add to
        of_image = image.new_zeros(bands, *image.shape)
        of_projections = projections.new_zeros(bands, *projections.shape, dtype=torch.float64)
        back = _side_by_side(gradient).view(height, width, 4)
        colours, *others = (
            part.detach().numpy() for part in (image, points, projections, weights, back, of_image, of_projections)
        )
        run_pieces(backward_piece, bands, colours, ctx.size, *others)
        image_gradient = of_image.sum(0)[:, :3].T.reshape(3, ctx.size[0] + 2, ctx.size[1] + 2)
        return image_gradient, None, of_projections.sum(0).to(projections.dtype), None


def _side_by_side(image: Tensor) -> Tensor:
    """(H * W, 4) pixels of an image (3, H, W), each with its channels and a zero."""
    return pad(image.flatten(1).T, (0, 1)).contiguous()
