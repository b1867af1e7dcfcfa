"""The convolution with kernels interpolated between nodes against its plain reference in float64."""

from __future__ import annotations

import platform
import re
from itertools import product
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
import torch
from numba import njit
from torch import Tensor

import bags.ops.interpolated_conv as module
from bags.ops.interpolated_conv import (
    interpolated_conv,
    interpolated_conv_reference,
    kernels_between,
    node_kernels,
)
from bags.ops.per_pixel_conv import per_pixel_conv_reference

NAMES = ("result", "image", "kernels", "mask", "sharp")
# Kernel side, height, width, spacing, corner in the image that the nodes cover, stride, nodes beyond those needed.
CASES = [
    (1, 3, 1, 2, (0, 0), 1, 0),
    (3, 5, 7, 2, (0, 0), 1, 0),
    (5, 37, 23, 4, (0, 0), 1, 0),
    (9, 40, 50, 4, (3, 5), 1, 1),
    (9, 41, 50, 8, (17, 5), 2, 2),
    (17, 33, 41, 4, (0, 16), 3, 0),
    (3, 70, 20, 16, (1, 30), 1, 1),
]


def inputs(side: int, height: int, width: int, spacing: int, corner: tuple[int, int], stride: int, more: int) -> Any:
    """Image, node kernels, mask and sharp image."""
    generator = torch.Generator().manual_seed(side * 1000 + height)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    nodes = [-(-(size + begin) // spacing) + more for size, begin in zip((height, width), corner[::-1], strict=True)]
    around = stride * (side - 1)
    kernels = normal(side * side, *nodes).softmax(dim=0)
    image, mask = normal(3, height + around, width + around), normal(height, width).sigmoid()
    return image, kernels, mask, normal(3, height, width)


def run(function: Any, tensors: Any, dtype: torch.dtype, *options: Any) -> list[Tensor]:
    """Result and gradients to all tensors, for a fixed random gradient of the result."""
    image, kernels, mask, sharp = leaves = [x.to(dtype).requires_grad_() for x in tensors]
    result = function(image, kernels, mask, *options, sharp=sharp)
    grad = torch.randn(result.shape, generator=torch.Generator().manual_seed(5)).to(dtype)
    return [result.detach(), *torch.autograd.grad(result, leaves, grad)]


def test_values_and_gradients(subtests: pytest.Subtests) -> None:
    for case, (dtype, tolerance) in product(CASES, [(torch.float32, 2e-6), (torch.float64, 1e-14)]):
        with subtests.test(case=case, dtype=dtype):
            tensors, (spacing, corner, stride) = inputs(*case), case[3:6]
            expected = run(interpolated_conv_reference, tensors, torch.float64, spacing, corner, stride)
            found = run(interpolated_conv, tensors, dtype, spacing, corner, stride)
            for name, a, b in zip(NAMES, found, expected, strict=True):
                assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max())), name


def test_in_several_strips_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, (spacing, corner, stride) = inputs(*CASES[3]), CASES[3][3:6]
    expected = run(interpolated_conv_reference, tensors, torch.float64, spacing, corner, stride)
    monkeypatch.setattr(module, "STRIP_BYTES", 8 * 81 * 50 * 7)  # seven rows
    for a, b in zip(run(interpolated_conv, tensors, torch.float64, spacing, corner, stride), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    tensors = inputs(9, 150, 33, 4, (0, 0), 1, 0)
    before = torch.get_num_threads()
    expected = run(interpolated_conv, tensors, torch.float32, 4)
    try:
        torch.set_num_threads(threads)
        found = run(interpolated_conv, tensors, torch.float32, 4)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_where_all_nodes_are_alike_it_is_the_convolution_with_that_kernel_everywhere() -> None:
    torch.manual_seed(0)
    head, features = torch.randn(25, 4), torch.randn(4, 1, 1)
    kernels = node_kernels(features.expand(-1, 5, 6), head)
    image, mask = torch.rand(3, 20 + 4, 23 + 4), torch.rand(20, 23)
    expected = per_pixel_conv_reference(image, features.expand(-1, 20, 23), head, mask)
    torch.testing.assert_close(interpolated_conv(image, kernels, mask, 4), expected, rtol=0, atol=2e-6)


def test_kernels_between_nodes_are_their_bilinear_mixture() -> None:
    """A node stands in the middle of its cell: for cells of 4 pixels at 1.5, 5.5, ...; beyond the last it is level."""
    kernels = torch.tensor([[[0.0, 1.0], [2.0, 5.0]]])
    rows, columns = torch.tensor([0, 1, 2, 3, 7]), torch.tensor([0, 1, 2, 4, 6])
    across, down = torch.tensor([0, 0, 0.125, 0.625, 1]), torch.tensor([0, 0, 0.125, 0.375, 1])
    expected = (1 - down) * across + down * (2 + 3 * across)
    torch.testing.assert_close(kernels_between(kernels, rows, columns, 4)[0], expected)


def test_kernels_of_nodes_sum_to_one_and_round_where_asked() -> None:
    torch.manual_seed(0)
    features, head = torch.randn(8, 3, 5), torch.randn(9, 8)
    exact, rounded = node_kernels(features, head), node_kernels(features, head, bfloat16=True)
    torch.testing.assert_close(exact, torch.einsum("kc,cyx->kyx", head, features).softmax(dim=0))
    torch.testing.assert_close(exact.sum(dim=0), torch.ones(3, 5))
    assert 0 < float((exact - rounded).abs().max()) < 0.02


def test_shapes_that_do_not_fit_are_refused(subtests: pytest.Subtests) -> None:
    for change, words in [
        ({"image": (3, 23, 26)}, "half a kernel larger"),
        ({"nodes": (4, 6)}, "too few"),
        ({"spacing": 3}, "even"),
        ({"spacing": 1}, "even"),
    ]:
        with subtests.test(words):
            image, nodes = torch.rand(change.get("image", (3, 24, 27))), change.get("nodes", (5, 6))
            with pytest.raises(ValueError, match=words):
                interpolated_conv(image, torch.rand(25, *nodes), torch.rand(20, 23), change.get("spacing", 4))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not llvmlite.binding.get_host_cpu_features().get("fma"),
    reason="reads x86 assembly with FMA",
)
def test_inner_loops_are_vectorised() -> None:
    from bags.ops.interpolated_conv_kernels import _FLAGS, backward_rows, forward_rows

    def zeros(*shape: int) -> Any:
        return np.zeros(shape, np.float32)

    nodes, image, pixels = zeros(4, 9, 6), zeros(3, 20, 4, 18), zeros(3, 18, 4, 16)
    forward_rows(nodes, image, pixels, 0, 2, 2, -1, -1, 1)
    backward_rows(nodes, image, pixels, nodes.copy(), image.copy(), 0, 2, 2, -1, -1, 1)
    for kernel, products in ((forward_rows, 8), (backward_rows, 16)):
        fresh = njit(**{**_FLAGS, "cache": False})(kernel.py_func)  # what comes from the cache has no assembly
        (signature,) = kernel.signatures
        fresh.compile(signature)
        assert len(re.findall(r"vfn?m\w+ps\s[^\n]*[yz]mm", fresh.inspect_asm(signature))) >= products
