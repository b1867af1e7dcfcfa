"""The benchmark's rows: our kernels compared with plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, unfold

from bags.benchmark.inputs import clear_gradients, front_camera, random_splats
from bags.benchmark.measure import measure, peak_mb, row
from bags.modules.optical_blur import points_seen
from bags.modules.trajectory import instants as along
from bags.ops.defocus import defocus, defocus_reference, disc_maps, reach_of, with_border
from bags.ops.enlarging import enlarged
from bags.ops.geometry import rotation_matrices
from bags.ops.interpolated_conv import interpolated_conv, node_kernels
from bags.ops.path_blur import path_blur, places_of, projections_along
from bags.ops.per_pixel_conv import BAND_ROWS, inside, per_pixel_conv
from bags.ops.precision import has_fast_bfloat16
from bags.ops.windows import Window
from bags.rendering import make_rasterizer
from bags.types import Splats


def rasterizer_row(width: int, height: int, count: int, repeats: int) -> dict[str, Any]:
    """Blending forward and backward (projection excluded), Numba against the tile-batched torch reference."""
    splats = random_splats(count, pixels=2.0, width=width)
    results, forward = [], []
    for name in ("numba", "reference"):
        rasterizer = make_rasterizer(name, "cpu")
        projection = rasterizer.project(splats, front_camera(width, height), sh_degree=3)  # type: ignore[attr-defined]
        fields = ("means2d", "conics", "colours", "opacities", "distances")
        leaves = {key: getattr(projection, key).detach().requires_grad_() for key in fields}
        flat = type(projection)(**leaves, radii=projection.radii)
        weights = torch.rand(5, height, width, generator=torch.Generator().manual_seed(1))

        def blend(draw: Any = rasterizer, flat: Any = flat) -> tuple[Tensor, Tensor, Tensor]:
            images: tuple[Tensor, Tensor, Tensor] = draw.rasterize(flat, torch.zeros(3), width, height)
            return images

        def both(blend: Callable[..., Any] = blend, leaves: Any = leaves, weights: Tensor = weights) -> None:
            rgb, depth, alpha = blend()
            ((rgb * weights[:3]).sum() + (depth * weights[3]).sum() + (alpha * weights[4]).sum()).backward()
            clear_gradients(*leaves.values())

        few = repeats if name == "numba" else max(1, min(repeats, 2))
        with torch.no_grad():
            forward.append(measure(blend, few).ms)
        results.append(measure(both, few))
    size = f"{width}x{height} {count // 1000}k"
    return row(
        f"rasterizer {size}", *results, ours_forward_ms=round(forward[0], 2), plain_forward_ms=round(forward[1], 2)
    )


def projection_row(count: int, repeats: int) -> dict[str, Any]:
    """Projection and spherical harmonics, forward and backward."""
    splats = random_splats(count, pixels=2.0, width=600)
    results = []
    for name in ("numba", "reference"):
        rasterizer = make_rasterizer(name, "cpu")

        def both(draw: Any = rasterizer) -> None:
            projection = draw.project(splats, front_camera(600, 400), sh_degree=3)
            parts = (projection.means2d, projection.conics, projection.colours, projection.opacities)
            torch.stack([part.sum() for part in parts]).sum().backward()
            clear_gradients(*(getattr(splats, key) for key in Splats.__dataclass_fields__))

        results.append(measure(both, repeats))
    return row(f"projection and SH {count // 1000}k", *results)


def path_blur_row(width: int, height: int, instants: int, repeats: int) -> dict[str, Any]:
    """Blur along a camera's path, forward and backward, against torch's ``grid_sample``, bicubic too."""
    margin, generator = width // 24, torch.Generator().manual_seed(0)
    camera = front_camera(width, height)
    image = torch.rand(3, height + 2 * margin, width + 2 * margin, generator=generator).requires_grad_()
    points = points_seen(camera, 2 + 6 * torch.rand(height, width, generator=generator))
    times, weights = along(instants)
    turns = rotation_matrices(times[:, None] * torch.tensor([0.01, 0.02, 0.01]))
    middle = camera.cx + margin, camera.cy + margin
    ways = projections_along(turns, torch.zeros(instants, 3), (camera.fx, camera.fy), middle).requires_grad_()

    def both(blur: Callable[..., Tensor]) -> Callable[[], None]:
        def forward_and_back() -> None:
            blur(image, points, ways, weights).square().mean().backward()
            clear_gradients(image, ways)

        return forward_and_back

    def sampled(image: Tensor, points: Tensor, projections: Tensor, weights: Tensor) -> Tensor:
        places = 2 * places_of(points, projections) / image.new_tensor([image.shape[2] - 1, image.shape[1] - 1]) - 1
        images = image.expand(len(weights), *image.shape)
        found = grid_sample(images, places, mode="bicubic", padding_mode="border", align_corners=True)
        return torch.einsum("t,tcyx->cyx", weights, found)

    results = [measure(both(blur), repeats) for blur in (path_blur, sampled)]
    return row(f"path blur {width}x{height}, {instants} instants", *results)


def defocus_row(width: int, height: int, radius: float, repeats: int) -> dict[str, Any]:
    """Blur by discs up to ``radius`` pixels, forward and backward, against plain PyTorch."""
    generator = torch.Generator().manual_seed(0)
    image, variance, distance = torch.rand(5, height, width, generator=generator).split([3, 1, 1])
    image, variance, distance = image.requires_grad_(), variance[0] * radius**2 / 4, 1 + distance[0]

    def plain() -> Tensor:
        maps = disc_maps(variance, distance)
        reach = reach_of(maps)
        return defocus_reference(with_border(image, reach), with_border(maps, reach), reach)

    def both(blur: Callable[[], Tensor]) -> Callable[[], None]:
        def forward_and_back() -> None:
            blur().square().mean().backward()
            clear_gradients(image, variance)

        return forward_and_back

    variance.requires_grad_()
    results = [measure(both(blur), repeats) for blur in (lambda: defocus(image, variance, distance), plain)]
    return row(f"defocus {width}x{height}, discs up to {radius:g} pixels", *results)


def unfolded_conv(image: Tensor, features: Tensor, head: Tensor, mask: Tensor) -> Tensor:
    """The per-pixel convolution as published: torch's ``unfold`` materialises the input of every tap of every pixel."""
    side, size = image.shape[1] - mask.shape[0] + 1, mask.shape
    weights = (head @ features.flatten(1)).softmax(dim=0)
    blurred = (unfold(image[None], side).view(3, side * side, -1) * weights).sum(dim=1).view(3, *size)
    return mask * blurred + (1 - mask) * inside(image, size)


def convolution_memory_row(side: int, width: int, height: int) -> dict[str, Any]:
    """Memory of the convolution on the CPU, forward and backward, beyond inputs, result and their gradients.

    Ours is measured in one call, and also counted from its tensors. That of unfold is only counted: it would not fit.
    """
    counted = counted_mb(side, width, height)
    measured = own_mb(per_pixel_conv, side, width, height)
    return {
        "name": f"convolution memory {width}x{height} K{side}",
        "ours_ms": None,
        "plain_ms": None,
        "ratio": None,
        "ours_mb": None if measured is None else round(measured, 1),
        "ours_counted_mb": round(counted[0], 1),
        "plain_mb": round(counted[1], 1),
        "memory_ratio": None if measured is None else round(counted[1] / measured, 1),
    }


def counted_mb(side: int, width: int, height: int) -> tuple[float, float]:
    """Peak MiB of the tensors of ``per_pixel_conv`` on the CPU, and of ``unfolded_conv``.

    Ours, in planes of H x W: log-sum-exp 1 and blurred image 3, saved for the backward pass; in the backward pass the
    gradient of the blurred image 3, its mean 1, the gradient of the sharp image 3 and its factor 1. In addition, the
    image gradients of all bands of rows, in case none has been added yet. Unfold, in planes of K*K x H x W: weights 1
    and patches 3, saved; in the backward pass the gradients of both factors of their product, 3 each, and the first of
    them summed over the channels, 1.
    """
    bands, reach = -(-height // BAND_ROWS), side - 1
    ours = 12 * height * width + bands * 3 * (BAND_ROWS + reach) * (width + reach)
    return 4 * ours / 2**20, 4 * 11 * side * side * height * width / 2**20


def own_mb(convolve: Callable[..., Tensor], side: int, width: int, height: int) -> float | None:
    """Peak MiB of a call beyond inputs, result and their gradients; None if unknown."""
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    image, features = leaf(3, height + side - 1, width + side - 1), leaf(64, height, width)
    inputs = image, features, leaf(side * side, 64), leaf(height, width)
    grad = torch.ones(3, height, width)

    def call() -> None:
        convolve(*inputs).backward(grad)
        clear_gradients(*inputs)

    peak = peak_mb(call)
    return None if peak is None else peak - sum(4 * x.numel() for x in (*inputs, grad)) / 2**20


def convolution_row(
    side: int, width: int, height: int, repeats: int, device: torch.device | str = "cpu", compare: bool = True
) -> dict[str, Any]:
    """Head product, softmax, gather and mask, forward and backward, compared with unfold.

    The bound is the arithmetic of the matrix products alone (logits twice, and their two gradients). ``compare=False``
    leaves out unfold, whose memory grows with K*K times the image.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    image = draw(3, height + side - 1, width + side - 1).requires_grad_()
    features = draw(64, height, width).requires_grad_()
    head = (0.1 * draw(side * side, 64)).requires_grad_()
    mask = draw(height, width).sigmoid_().requires_grad_()
    weights = draw(3, height, width)

    def both(convolve: Callable[..., Tensor], **options: bool) -> None:
        (convolve(image, features, head, mask, **options) * weights).sum().backward()
        clear_gradients(image, features, head, mask)

    ours = measure(lambda: both(per_pixel_conv), repeats, device)
    rounds = has_fast_bfloat16(device)  # elsewhere it is several times slower and not used
    half = measure(lambda: both(per_pixel_conv, bfloat16=True), repeats, device) if rounds else None
    plain = measure(lambda: both(unfolded_conv), repeats, device) if compare else None
    flat = features.detach().flatten(1)
    rows = height if flat.is_cuda else 8
    strip, logits = flat[:, : rows * width], draw(side * side, rows * width)

    def products() -> None:
        for _ in range(0, height, rows):
            head.detach() @ strip
            head.detach() @ strip
            head.detach().T @ logits
            logits @ strip.T

    bound = measure(products, repeats, device)
    return row(
        f"convolution K{side} {width}x{height}",
        ours,
        plain,
        ours_bfloat16_ms=None if half is None else round(half.ms, 2),
        matrix_products_ms=round(bound.ms, 2),
        part_of_bound=round(bound.ms / ours.ms, 2),
    )


def interpolated_row(side: int, width: int, height: int, spacing: int, repeats: int) -> dict[str, Any]:
    """The convolution with kernels ``spacing`` pixels apart: logits, softmax, interpolation, gather and mask.

    It is compared with torch's ``unfold`` and kernels enlarged by ``interpolate``. The bound is arithmetic: the fused
    multiply-adds of every tap of every pixel, 4 forward and 8 backward, at the rate that this machine reaches in a
    matrix product.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    image = draw(3, height + side - 1, width + side - 1).requires_grad_()
    features = draw(64, -(-height // spacing), -(-width // spacing)).requires_grad_()
    head = (0.1 * draw(side * side, 64)).requires_grad_()
    mask = draw(height, width).sigmoid_().requires_grad_()
    weights = draw(3, height, width)

    def ours() -> Tensor:
        return interpolated_conv(image, node_kernels(features, head), mask, spacing)

    def plain() -> Tensor:
        kernels = enlarged(node_kernels(features, head), spacing, Window(0, 0, width, height)).flatten(1)
        blurred = (unfold(image[None], side).view(3, side * side, -1) * kernels).sum(dim=1).view(3, height, width)
        return mask * blurred + (1 - mask) * inside(image, mask.shape)

    def both(convolve: Callable[[], Tensor]) -> None:
        (convolve() * weights).sum().backward()
        clear_gradients(image, features, head, mask)

    timed = measure(lambda: both(ours), repeats)
    bound = side * side * height * width * 24 / product_rate(repeats) * 1e3
    return row(
        f"interpolated convolution K{side} {width}x{height}, {spacing} px",
        timed,
        measure(lambda: both(plain), max(1, min(repeats, 2))),
        bound_ms=round(bound, 2),
        part_of_bound=round(bound / timed.ms, 2),
    )


def product_rate(repeats: int) -> float:
    """Floating-point operations per second in a float32 matrix product that fits into the L2 cache."""
    a, b = torch.randn(384, 384), torch.randn(384, 384)

    def products() -> None:
        for _ in range(20):
            a @ b

    return 20 * 2 * 384**3 / (measure(products, repeats).ms / 1e3)
