"""The CPU rasteriser against the float64 reference: values, gradients, edge cases, determinism, vector code."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import llvmlite.binding
import numba
import pytest
import torch
from random_splats import decided, images, leaves, random_camera, random_splats

from bags.errors import BagsError
from bags.rendering import make_rasterizer, numba_backend, numba_raster, reference
from bags.types import Splats

FAST, SLOW = make_rasterizer("numba", "cpu"), make_rasterizer("reference", "cpu")
NAMES = [f.name for f in fields(Splats)]

CASES = {
    "degree 0": dict(count=150, width=53, height=37, degree=0),
    "degree 1": dict(count=150, width=53, height=37, degree=1),
    "degree 2": dict(count=150, width=53, height=37, degree=2),
    "degree 3": dict(count=150, width=37, height=53, degree=3),
    "whole tiles": dict(count=400, width=64, height=48, degree=3, size=0.7),
    "opaque, stops early": dict(count=400, width=48, height=32, degree=1, size=2.0, opacity=4.0),
    "huge": dict(count=40, width=40, height=40, degree=3, size=20.0),
    "at the near plane": dict(count=60, width=40, height=30, degree=3, depth=0.15),
    "tiny": dict(count=300, width=50, height=40, degree=3, size=0.02),
    "one Gaussian": dict(count=2, width=20, height=20, degree=3),
    "one pixel": dict(count=40, width=1, height=1, degree=3),
}


def relative(fast: torch.Tensor, exact: torch.Tensor) -> float:
    """The larger of the relative errors in Euclidean and in maximum norm."""
    error = (fast - exact).detach()
    euclid, most = error.norm() / exact.norm(), error.abs().max() / exact.abs().max()
    return max(euclid.item(), most.item()) if error.abs().max() > 0 else 0.0


@pytest.mark.parametrize(("seed", "case"), list(enumerate(CASES)))
def test_values_and_gradients_match_the_float64_reference(seed, case):
    options = dict(CASES[case])
    count, degree = options.pop("count"), options.pop("degree")
    camera = random_camera(options.pop("width"), options.pop("height"), seed)
    splats = random_splats(count, camera, seed, **options)
    keep = decided(reference.project(splats.to(dtype=torch.float64), camera, sh_degree=0), camera)
    assert keep.float().mean() > 0.9
    draw = torch.Generator().manual_seed(seed)
    weights = [torch.randn(*s, camera.height, camera.width, generator=draw) * keep for s in ((3,), (), ())]
    background = torch.rand(3, generator=draw)

    results = []
    for rasterizer, dtype in ((SLOW, torch.float64), (FAST, torch.float32)):
        inputs, behind = leaves(splats, dtype), background.to(dtype, copy=True).requires_grad_()
        out = rasterizer(inputs, camera, sh_degree=degree, background=behind)
        sum((w * image).sum() for w, image in zip(weights, images(out), strict=True)).backward()
        gradients = {name: getattr(inputs, name).grad for name in NAMES}
        gradients |= {"means2d": out.means2d.grad, "background": behind.grad}
        results.append((out, gradients))
    (exact, exact_gradients), (fast, fast_gradients) = results

    assert torch.equal(exact.radii, fast.radii)
    assert exact.radii.count_nonzero() > 0
    # Worst seen over 12 seeds of every case: means2d 5.7e-8, images 4.8e-6, gradients 8.0e-6.
    assert relative(fast.means2d, exact.means2d) < 1e-6
    for name, a, b in zip(("rgb", "depth", "alpha"), images(fast), images(exact), strict=True):
        assert relative(a * keep, b * keep) < 2e-5, name
    for name, gradient in exact_gradients.items():
        assert relative(fast_gradients[name], gradient) < 5e-5, name
    for name in NAMES:
        assert (fast_gradients[name][exact.radii == 0] == 0).all(), name


def test_masked_out_pixels_are_close_too():
    """Where rounding flips a decision the error is that of one faint Gaussian, about 1/255."""
    camera = random_camera(48, 32)
    splats, background = random_splats(400, camera, size=2, opacity=4), torch.rand(3)
    fast = FAST(splats, camera, sh_degree=3, background=background)
    slow = SLOW(splats.to(dtype=torch.float64), camera, sh_degree=3, background=background)
    assert (fast.rgb - slow.rgb).abs().max() < 0.02


def test_stages_agree_one_by_one():
    camera = random_camera(50, 40)
    splats = random_splats(300, camera)
    fast = numba_backend.project(splats, camera, sh_degree=3, kernel_size=0.3)
    exact = reference.project(splats.to(dtype=torch.float64), camera, sh_degree=3, kernel_size=0.3)
    for name in ("means2d", "conics", "colours", "opacities", "distances"):
        assert relative(getattr(fast, name), getattr(exact, name)) < 1e-6, name
    assert torch.equal(fast.radii, exact.radii)


@pytest.mark.parametrize("count, behind", [(0, False), (5, True)])
def test_nothing_to_draw(count, behind):
    camera = random_camera(21, 18)
    splats = random_splats(5, camera)
    if behind:
        splats.means[:] = camera.center - 5 * camera.rotation[2]
    splats = leaves(Splats(*(getattr(splats, name)[:count] for name in NAMES)))
    background = torch.rand(3)
    out = FAST(splats, camera, sh_degree=3, background=background)
    assert torch.equal(out.rgb, background[:, None, None].expand(3, 18, 21))
    assert (out.alpha == 0).all() and (out.depth == 0).all() and (out.radii == 0).all()
    (out.rgb.sum() + out.depth.sum()).backward()
    assert all((getattr(splats, name).grad == 0).all() for name in NAMES)


def test_same_bits_every_time_and_for_any_number_of_threads():
    camera = random_camera(90, 70)
    splats, background = random_splats(3000, camera), torch.rand(3)

    def run() -> list[torch.Tensor]:
        inputs = leaves(splats)
        out = FAST(inputs, camera, sh_degree=3, background=background)
        (out.rgb.square().sum() + out.depth.sum() + out.alpha.square().sum()).backward()
        return [*images(out), *(getattr(inputs, name).grad for name in NAMES)]

    threads = torch.get_num_threads()
    first = run()
    try:
        for count in (threads, 1, 2):
            torch.set_num_threads(count)
            assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))
    finally:
        torch.set_num_threads(threads)


def test_gradients_are_only_kept_where_wanted():
    camera = random_camera(30, 20)
    splats = random_splats(12, camera)
    assert FAST(splats, camera, sh_degree=0, background=torch.zeros(3)).rgb.grad_fn is None
    with torch.no_grad():
        out = FAST(leaves(splats), camera, sh_degree=0, background=torch.zeros(3))
    assert not out.means2d.requires_grad


def test_inputs_that_do_not_fit_are_named():
    camera = random_camera(30, 20)
    splats = random_splats(12, camera)
    with pytest.raises(BagsError, match=r"splats\.means is torch\.float64"):
        FAST(splats.to(dtype=torch.float64), camera, sh_degree=0, background=torch.zeros(3))
    with pytest.raises(BagsError, match=r"background is torch\.float16"):
        FAST(splats, camera, sh_degree=0, background=torch.zeros(3, dtype=torch.float16))


MATRIX, VECTOR = numba.float32[:, ::1], numba.float32[::1]
BLEND = (MATRIX, numba.int32[::1], numba.int64, numba.int64, numba.float32, numba.float32, VECTOR)
UNBLEND = (MATRIX, numba.int32[::1], *BLEND[1:-1], VECTOR, VECTOR, MATRIX)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not llvmlite.binding.get_host_cpu_features().get("fma"),
    reason="reads x86 assembly with FMA",
)
@pytest.mark.parametrize("kernel, signature", [("_blend_tile", BLEND), ("_unblend_tile", UNBLEND)])
def test_row_kernels_are_vector_code(kernel, signature):
    fresh = numba.njit(fastmath=numba_raster.FAST, error_model="numpy")(getattr(numba_raster, kernel).py_func)
    fresh.compile(signature)
    assembly = fresh.inspect_asm(signature)
    packed = re.findall(r"vfn?m(?:add|sub)\d+ps\s.*%[yz]mm", assembly)
    assert len(packed) >= 10  # the polynomial, the exponent, the four channels


DRAW = """
import hashlib, torch
from bags.rendering import make_rasterizer
from bags.rendering.parity import random_scene
splats, camera = random_scene(500, 61, 43)
leaves = [value.requires_grad_() for value in vars(splats).values()]
out = make_rasterizer("numba", "cpu")(splats, camera, sh_degree=3, background=torch.ones(3))
(out.rgb.square().sum() + out.depth.sum() + out.alpha.sum()).backward()
values = [out.rgb, out.depth, out.alpha, *(leaf.grad for leaf in leaves)]
print(hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in values)).hexdigest())
"""


def test_the_run_that_compiles_equals_the_next_one(tmp_path):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    runs = [
        subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc")), "nothing was compiled and kept"
    assert runs[0].stdout == runs[1].stdout


def test_importing_the_package_does_not_load_numba():
    code = "import sys, bags.rendering; sys.exit(any(name.split('.')[0] == 'numba' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
