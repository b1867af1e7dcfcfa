"""Cases of ``test_per_pixel_conv_triton``, which runs this file in a process of its own.

With TRITON_INTERPRET=1 on the CPU, in NumPy; else on the GPU.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bags.ops.per_pixel_conv as module
from bags.ops import per_pixel_conv_triton
from bags.ops.per_pixel_conv import per_pixel_conv, per_pixel_conv_reference
from tests.ops.test_per_pixel_conv import errors, inputs, run

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.fixture(autouse=True)
def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the kernels on the CPU too, and correct the interpreter's matrix product of bfloat16.

    It keeps them as the integers of their bits, and multiplies those.
    """
    if not INTERPRETED:
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    monkeypatch.setattr(module, "_function", lambda *tensors: per_pixel_conv_triton.TritonConv)
    product = InterpreterBuilder.create_dot

    def widened(factor: Any) -> Any:
        if factor.dtype.scalar != tl.bfloat16:
            return factor
        return TensorHandle((factor.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def corrected(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return product(self, widened(a), widened(b), *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", corrected)


def found(tensors: list[Tensor], sharpness: float = 1.0, stride: int = 1, **options: Any) -> dict[str, float]:
    """Errors against the reference in float64."""
    expected = run(per_pixel_conv_reference, tensors, torch.float64, stride=stride)
    return errors(kernels(tensors, stride=stride, **options), expected, sharpness)


def kernels(tensors: list[Tensor], **options: Any) -> list[Tensor]:
    """Result and gradients of the kernels, on the CPU."""
    return [x.cpu() for x in run(per_pixel_conv, [x.to(DEVICE) for x in tensors], torch.float32, **options)]


@pytest.mark.parametrize(
    ("side", "height", "width", "channels", "stride", "sharp", "sharpness"),
    [
        (1, 1, 1, 8, 1, True, 1.0),
        (3, 5, 7, 8, 1, False, 30.0),
        (3, 4, 5, 100, 2, True, 1.0),
        (5, 7, 11, 20, 2, True, 30.0),
        (5, 2, 3, 16, 4, True, 1.0),  # taps further apart than the image is wide
        (9, 2, 140, 3, 1, False, 1.0),  # more than one program for a row of the image gradient
        (17, 4, 5, 64, 1, False, 1.0),
        (33, 2, 3, 8, 1, True, 1.0),
    ],
)
def test_values_and_gradients(
    side: int, height: int, width: int, channels: int, stride: int, sharp: bool, sharpness: float
) -> None:
    tensors = inputs(side, height, width, channels, sharpness, stride, sharp)
    differences = found(tensors, sharpness, stride)
    assert max(differences.values()) < 1e-4, differences  # worst seen in the interpreter: 6e-6


def test_more_pixel_blocks_than_shares_of_the_head_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_pixel_conv_triton, "SHARES", 2)
    grid, numbers, _, _ = per_pixel_conv_triton.launches(3, 8, 13, 13, 1)["backward_head"]
    assert grid[1] == 2 and numbers[-1] == 2  # four blocks for 169 pixels, the last one empty
    differences = found(inputs(3, 13, 13))
    assert max(differences.values()) < 1e-4, differences


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_mask_extremes(value: float) -> None:
    tensors = inputs(3, 6, 9)
    tensors[3].fill_(value)
    differences = found(tensors)
    assert max(differences.values()) < 1e-4, differences
    if value == 0:
        assert torch.equal(kernels(tensors)[0], tensors[0][:, 1:-1, 1:-1])


def test_huge_logits_are_finite_and_pick_one_neighbour() -> None:
    image, features, head, mask = inputs(3, 6, 7)
    head.zero_()[2] = 1000.0  # the top right neighbour
    results = kernels([image, features.fill_(1.0), head, mask.fill_(1.0)])
    assert all(x.isfinite().all() for x in results)
    torch.testing.assert_close(results[0], image[:, 0:6, 2:9])


def test_runs_are_bitwise_equal() -> None:
    tensors = inputs(3, 9, 23)
    assert all(torch.equal(a, b) for a, b in zip(kernels(tensors), kernels(tensors), strict=True))


def test_bfloat16_is_close() -> None:
    tensors = inputs(5, 7, 13, channels=64)
    differences = found(tensors, bfloat16=True)
    assert 1e-5 < max(differences.values()) < 2e-2, differences  # worst seen in the interpreter: 1.4e-2
    assert differences["result"] < 1e-2  # 5e-3


def test_bfloat16_features_give_bfloat16_gradients() -> None:
    image, features, head, mask = (x.to(DEVICE).requires_grad_() for x in inputs(3, 5, 7))
    rounded = features.detach().bfloat16().requires_grad_()
    per_pixel_conv(image, rounded, head, mask).sum().backward()
    per_pixel_conv(image, features, head, mask, bfloat16=True).sum().backward()
    assert rounded.grad is not None and rounded.grad.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.grad.float(), features.grad, rtol=1e-2, atol=1e-2)


def test_a_sharp_image_of_any_strides() -> None:
    image, features, head, mask, sharp = (x.to(DEVICE) for x in inputs(3, 5, 7, sharp=True))
    expected = per_pixel_conv(image, features, head, mask, sharp=sharp)
    transposed = sharp.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(per_pixel_conv(image, features, head, mask, sharp=transposed), expected)


@pytest.mark.parametrize(("side", "channels", "dtype"), [(65, 8, "float32"), (3, 129, "float32"), (3, 8, "float64")])
def test_inputs_beyond_the_kernels_limits_fall_back(side: int, channels: int, dtype: str) -> None:
    image, features, head, _ = (x.to(getattr(torch, dtype)) for x in inputs(side, 2, 3, channels))
    assert not per_pixel_conv_triton.takes(image, features, head)
    assert per_pixel_conv_triton.takes(*inputs(63, 2, 3, 128)[:3])
