"""The per-pixel convolution in strips against its plain reference in float64."""

from __future__ import annotations

import math
import subprocess
import sys
import weakref
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import bags.ops.per_pixel_conv as module
from bags.ops.per_pixel_conv import kernels_at, per_pixel_conv, per_pixel_conv_reference, strip_rows

NAMES = ("result", "image", "features", "head", "mask", "sharp")


def inputs(
    side: int, height: int, width: int, channels: int = 8, sharpness: float = 1.0, stride: int = 1, sharp: bool = False
) -> list[Tensor]:
    """Image, features, head and mask; with ``sharp`` also what the unmasked part shows."""
    generator = torch.Generator().manual_seed(side * 1000 + height)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    image = normal(3, height + stride * (side - 1), width + stride * (side - 1))
    head = normal(side * side, channels) * sharpness / math.sqrt(channels)
    tensors = [image, normal(channels, height, width), head, normal(height, width).sigmoid()]
    return [*tensors, normal(3, height, width)] if sharp else tensors


def run(function: Any, tensors: list[Tensor], dtype: torch.dtype, **options: Any) -> list[Tensor]:
    """Result and gradients to all tensors (a fifth is ``sharp``), for a fixed random gradient of the result."""
    leaves = [x.to(dtype).requires_grad_() for x in tensors]
    if len(leaves) > 4:
        options["sharp"] = leaves[4]
    result = function(*leaves[:4], **options)
    grad = torch.randn(result.shape, generator=torch.Generator().manual_seed(5)).to(dtype)
    return [result.detach(), *torch.autograd.grad(result, leaves, grad)]


def errors(values: list[Tensor], references: list[Tensor], sharpness: float = 1.0) -> dict[str, float]:
    """Largest error relative to the largest value, of at least a tenth of the inputs' size: where one weight
    takes all (K = 1, saturated kernels), gradients of features and head cancel to 0, rounded as terms of that size."""
    return {
        name: float((a - b).abs().max() / b.abs().max().clamp_min(0.1 * sharpness))
        for name, a, b in zip(NAMES[: len(values)], values, references, strict=True)
    }


def test_values_and_gradients(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests) -> None:
    """Float32 runs the numba kernels, float64 the torch strips; several strips of unequal height each."""
    for sharpness, side, (height, width), (dtype, tolerance) in product(
        [1.0, 30.0], [1, 3, 5, 9, 17], [(1, 1), (5, 3), (37, 23)], [(torch.float32, 1e-4), (torch.float64, 1e-12)]
    ):
        with subtests.test(side=side, height=height, sharpness=sharpness, dtype=dtype):
            monkeypatch.setattr(module, "STRIP_BYTES", 4 * side * side * width * 5)
            tensors = inputs(side, height, width, sharpness=sharpness)
            expected = run(per_pixel_conv_reference, tensors, torch.float64)
            found = errors(run(per_pixel_conv, tensors, dtype), expected, sharpness)
            assert max(found.values()) < tolerance, found  # worst seen: 9e-6 in float32, 6e-14 in float64


def test_stride_and_sharp(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests) -> None:
    for sharp, (side, stride), (dtype, tolerance) in product(
        [False, True], [(1, 3), (3, 2), (5, 1), (5, 4), (9, 2), (9, 3)], [(torch.float32, 1e-4), (torch.float64, 1e-12)]
    ):
        with subtests.test(sharp=sharp, side=side, stride=stride, dtype=dtype, tolerance=tolerance):
            monkeypatch.setattr(module, "STRIP_BYTES", 4 * side * side * 23 * 5)
            tensors = inputs(side, 37, 23, stride=stride, sharp=sharp)
            expected = run(per_pixel_conv_reference, tensors, torch.float64, stride=stride)
            found = errors(run(per_pixel_conv, tensors, dtype, stride=stride), expected)
            assert max(found.values()) < tolerance, found  # worst seen: 3e-5 in float32, 2e-15 in float64


def test_taps_lie_a_stride_apart(subtests: pytest.Subtests) -> None:
    """Kernels that pick one neighbour shift the image by stride times it."""
    for function in [per_pixel_conv, per_pixel_conv_reference]:
        with subtests.test(function.__name__):
            image, features, head, mask = inputs(3, 6, 7, stride=4)
            head.zero_()[5] = 1000.0  # the right neighbour
            result = function(image, features.fill_(1.0), head, mask.fill_(1.0), stride=4)
            torch.testing.assert_close(result, image[:, 4:10, 8:15])


def test_unmasked_pixels_show_sharp() -> None:
    tensors = inputs(3, 6, 7, sharp=True)
    tensors[3].fill_(0.0)
    assert torch.equal(per_pixel_conv(*tensors[:4], sharp=tensors[4]), tensors[4])


def test_mask_extremes(subtests: pytest.Subtests) -> None:
    for value in [0.0, 1.0]:
        with subtests.test(value=value):
            tensors = inputs(5, 11, 14)
            tensors[3].fill_(value)
            found = errors(
                run(per_pixel_conv, tensors, torch.float32), run(per_pixel_conv_reference, tensors, torch.float64)
            )
            assert max(found.values()) < 1e-4, found
            if value == 0:
                assert torch.equal(per_pixel_conv(*tensors), tensors[0][:, 2:-2, 2:-2])


def test_huge_logits_are_finite_and_pick_one_neighbour() -> None:
    image, features, head, mask = inputs(3, 6, 7)
    picked = 2  # the top right neighbour
    head.zero_()[picked] = 1000.0
    results = run(per_pixel_conv, [image, features.fill_(1.0), head, mask.fill_(1.0)], torch.float32)
    assert all(x.isfinite().all() for x in results)
    torch.testing.assert_close(results[0], image[:, 0:6, 2:9])


def test_gradcheck_of_the_torch_strips() -> None:
    tensors = [x.double().requires_grad_() for x in inputs(3, 4, 5, channels=2, stride=2, sharp=True)]
    assert torch.autograd.gradcheck(lambda *x: per_pixel_conv(*x[:4], stride=2, sharp=x[4]), tensors)


def test_runs_are_bitwise_equal_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRIP_BYTES", 4 * 81 * 23 * 3)
    monkeypatch.setattr(module, "BAND_ROWS", 8)
    tensors, threads = inputs(9, 37, 23), torch.get_num_threads()
    first = run(per_pixel_conv, tensors, torch.float32)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            again = run(per_pixel_conv, tensors, torch.float32)
            assert torch.get_num_threads() == count
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), f"{count} threads"
    finally:
        torch.set_num_threads(threads)


def test_bfloat16_is_close() -> None:
    tensors = inputs(9, 37, 23, channels=64)
    expected = run(per_pixel_conv_reference, tensors, torch.float64)
    found = errors(run(per_pixel_conv, tensors, torch.float32, bfloat16=True), expected)
    assert 1e-5 < max(found.values()) < 2e-2, found  # worst seen: 8e-3
    assert found["result"] < 3e-3


def test_kernels_at_are_oriented_as_they_act() -> None:
    """An image with a single bright pixel reads the kernels out."""
    _, features, head, mask = inputs(5, 9, 8)
    kernel = kernels_at(features, head, torch.tensor([4, 6]), torch.tensor([3, 2]))
    assert kernel.shape == (2, 5, 5)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            image = torch.zeros(3, 13, 12)
            image[:, 2 + 4 + dy, 2 + 3 + dx] = 1.0
            blurred = per_pixel_conv(image, features, head, torch.ones_like(mask))
            torch.testing.assert_close(blurred[0, 4, 3], kernel[0, 2 + dy, 2 + dx])


class _Live(TorchDispatchMode):
    """Bytes of the tensors that torch makes under it: the most alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[Any, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.storages[storage.data_ptr()] = (weakref.ref(tensor), storage.nbytes())
        alive = [size for tensor, size in self.storages.values() if tensor() is not None]
        self.peak = max(self.peak, sum(alive))
        return result


def test_memory_is_that_of_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside inputs, results and their gradients only one strip and a few images live at a time."""
    side, height, width, channels = 9, 200, 40, 8
    tensors = inputs(side, height, width, channels)
    rows = 5
    monkeypatch.setattr(module, "STRIP_BYTES", 4 * side * side * rows * width)
    assert strip_rows(side, width) == rows
    strip = 4 * rows * (side * side * width + 3 * side * (width + side - 1))  # logits, and what the rows scatter
    plane = 4 * (height + side - 1) * (width + side - 1)
    gradients = 4 * sum(x.numel() for x in tensors)
    bound = gradients + 2 * strip + 22 * plane  # the next strip's logits are made before the last's are let go

    def peak(function: Any) -> int:
        with _Live() as live:
            run(function, tensors, torch.float32)
        return live.peak

    kernels = 4 * side * side * height * width
    assert gradients + strip < peak(per_pixel_conv) < bound < kernels
    assert peak(per_pixel_conv_reference) > 4 * kernels  # the weights and three channels of patches


def test_import_loads_no_numba() -> None:
    code = "import sys, bags.ops.per_pixel_conv, bags.modules.bpn; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shapes_that_do_not_fit(subtests: pytest.Subtests) -> None:
    for changed, message in [
        (0, "half a kernel larger"),
        (1, "features are"),
        (2, "square of an odd"),
        (4, "sharp is"),
    ]:
        with subtests.test(message):
            tensors = inputs(3, 5, 6, sharp=True)
            tensors[changed] = tensors[changed][:-1] if changed else tensors[changed][:, :-1]
            with pytest.raises(ValueError, match=message):
                per_pixel_conv(*tensors[:4], sharp=tensors[4])


def test_stride_below_one() -> None:
    with pytest.raises(ValueError, match="stride is 0"):
        per_pixel_conv(*inputs(3, 5, 6), stride=0)
