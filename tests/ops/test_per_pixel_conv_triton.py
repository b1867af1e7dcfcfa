"""The Triton kernels of the per-pixel convolution: in Triton's interpreter, compiled without a GPU, and on one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import bags.ops.per_pixel_conv as module
from tests.ops.test_per_pixel_conv import inputs

triton = pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA builds")
CASES = Path(__file__).with_name("per_pixel_conv_triton_cases.py")


def cases_pass(**environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, cwd=CASES.parents[2]
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_the_interpreter() -> None:
    cases_pass(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_the_gpu() -> None:
    cases_pass()


def compiled(name: str, side: int, channels: int, factor: torch.dtype, architecture: int) -> Any:
    """The kernel's machine code at 2400x1600, as it would be compiled for a GPU of this kind."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from bags.ops import per_pixel_conv_triton, per_pixel_conv_triton_kernels

    kernel = getattr(per_pixel_conv_triton_kernels, name)
    launch = per_pixel_conv_triton.launches(side, channels, 1600, 2400, 1)[name]
    numbers = {"height", "width", "channels", "sharp_plane", "sharp_row", "segments", "blocks"}
    fixed = {**launch.sizes, "FACTOR": per_pixel_conv_triton.TYPES[factor], "stride": 1}  # Triton fixes ones by itself
    signature = {x: "constexpr" if x in fixed else "i32" if x in numbers else "*fp32" for x in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, x in enumerate(signature.values()) if x == "*fp32"}
    source = ASTSource(kernel, signature, constexprs=fixed, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=launch.options)


@pytest.mark.parametrize("name", ["forward", "backward_features", "backward_head", "backward_image"])
@pytest.mark.parametrize(
    ("side", "channels", "factor", "architecture"),
    [
        (17, 64, torch.bfloat16, 90),
        (33, 64, torch.float32, 90),
        (9, 64, torch.float32, 80),
        (17, 128, torch.float32, 86),
    ],
)
def test_compiles_without_a_gpu(
    name: str, side: int, channels: int, factor: torch.dtype, architecture: int, tmp_path: Path
) -> None:  # fmt: skip
    """What the interpreter cannot see: sizes that are no powers of 2, shared memory, registers spilt to memory."""
    code = compiled(name, side, channels, factor, architecture)
    assert code.metadata.shared <= 99 << 10  # bytes; the least that a block may use on GPUs of these generations
    (tmp_path / "kernel.cubin").write_bytes(code.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    usage = subprocess.run([tool, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True)
    spilt = re.search(r"STACK:(\d+)", usage.stdout)
    assert spilt is not None, usage.stdout
    assert int(spilt[1]) <= 128, usage.stdout  # bytes a thread; most seen: 0 on sm_90, 72 on sm_80


def test_few_taps_are_wasted_on_a_row_of_the_image_gradient() -> None:
    from bags.ops import per_pixel_conv_triton

    taps = per_pixel_conv_triton.launches(17, 64, 40, 60, 1)["backward_image"].sizes["TAPS"]
    assert taps == 8  # three times, 7 of 24 in vain; 16 would be 15 of 32


class OnCuda:
    """As much of an image on a GPU as the choice of the implementation looks at."""

    is_cuda = True
    dtype = torch.float32


def test_cuda_takes_the_kernels() -> None:
    image: Any = OnCuda()
    _, features, head, _ = inputs(3, 2, 2)
    assert module._function(image, features, head).__name__ == "TritonConv"
    assert module._function(image, features.double(), head) is module._PerPixelConv


def test_without_triton_one_warning_and_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    image: Any = OnCuda()
    _, features, head, _ = inputs(3, 2, 2)
    monkeypatch.delattr("bags.ops.per_pixel_conv_triton", raising=False)
    monkeypatch.setitem(sys.modules, "bags.ops.per_pixel_conv_triton", None)
    module._triton.cache_clear()
    with pytest.warns(RuntimeWarning, match="without Triton"):
        assert module._function(image, features, head) is module._PerPixelConv
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module._function(image, features, head) is module._PerPixelConv
    module._triton.cache_clear()
