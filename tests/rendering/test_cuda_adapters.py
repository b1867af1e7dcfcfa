"""The CUDA adapters against the float64 reference, on stand-ins for the packages that need a GPU."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, fields, replace
from typing import Any

import diff_gaussian_stand_in
import gsplat_stand_in
import pytest
import torch
from random_splats import leaves

from bags.errors import BagsError, SettingError
from bags.rendering import diff_gaussian_backend, make_rasterizer
from bags.rendering.base import Rasterizer
from bags.rendering.parity import Contender, compare, random_scene
from bags.types import Camera, RenderOutput, Splats

EXACT = Contender(make_rasterizer("reference", "cpu"), dtype=torch.float64)
BACKENDS = ("gsplat", "mip_splatting", "bags")
NAMES = [f.name for f in fields(Splats)]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Put a stand-in where the package would be and load the adapter the way the factory does."""

    def load(backend: str, absolute_gradients: bool = False) -> Rasterizer:
        if backend == "gsplat":
            monkeypatch.setitem(sys.modules, "gsplat", gsplat_stand_in)
        else:
            name = diff_gaussian_backend.MODULE
            monkeypatch.setitem(sys.modules, name, diff_gaussian_stand_in.module(backend))
        name = "gsplat" if backend == "gsplat" else "diff_gaussian"
        return make_rasterizer(name, "cuda", absolute_gradients=absolute_gradients)

    return load


def whole(camera: Camera) -> Camera:
    return camera


def jittered(camera: Camera) -> Camera:
    return replace(camera, offset=(-0.5, 0.5))


def window(camera: Camera) -> Camera:
    return camera.cropped(32, 16, 21, 19).shifted(0.25, -0.1)


def margin(camera: Camera) -> Camera:
    return camera.padded(7)


CAMERAS = {"whole": whole, "jittered": jittered, "window": window, "margin": margin}


def in_one_order(splats: Splats, camera: Camera) -> Splats:
    """Without those Gaussians whose order by view-space z differs from that by distance (Mip-Splatting sorts by z)."""
    z = splats.means @ camera.rotation[2] + camera.translation[2]
    distance = (splats.means - camera.center).norm(dim=1)
    order, kept, nearest = z.argsort(descending=True).tolist(), [], float("inf")
    for i in order:
        if distance[i] < nearest:
            nearest = float(distance[i])
            kept.append(i)
    return Splats(*(getattr(splats, name)[sorted(kept)] for name in NAMES))


@pytest.mark.parametrize(
    "backend, view", [(b, v) for b in BACKENDS for v in CAMERAS if v != "margin" or b == "gsplat"]
)  # a margin with diff_gaussian: test_a_margin_widens_the_clamp_of_diff_gaussian
def test_values_and_gradients_are_the_reference_s(install, backend: str, view: str) -> None:
    splats, camera = random_scene(150, 61, 45, seed=5)
    if backend == "mip_splatting":
        splats = in_one_order(splats, camera)
        assert len(splats.means) > 20
    errors = compare(Contender(install(backend)), EXACT, splats, CAMERAS[view](camera), sh_degree=2, kernel_size=0.2)
    assert errors.pop("drawn") == errors.pop("radii") == 0
    # Worst seen over 5 seeds of every case: 6e-6 (a float32 interface around float64 sums).
    assert all(error < 3e-5 for error in errors.values()), errors


@pytest.mark.parametrize("view", ["whole", "window"])
def test_the_direction_clamp_holds_beside_the_view(install, view: str) -> None:
    """Large Gaussians far beside the view reach into it; their Jacobian is the clamped one."""
    splats, camera = random_scene(150, 61, 45, seed=3)
    splats = replace(splats, scales=4 * splats.scales)
    x, _, z = (splats.means @ camera.rotation.T + camera.translation).unbind(-1)
    assert ((x / z).abs() > 1.3 * camera.half_field[0]).sum() > 5
    for backend in ("gsplat", "bags"):
        errors = compare(Contender(install(backend)), EXACT, splats, CAMERAS[view](camera))
        assert max(errors["rgb"], errors["depth"], errors["grad.means"]) < 3e-5, errors


def test_a_margin_widens_the_clamp_of_diff_gaussian(install) -> None:
    """Its interface ties the clamp to the image's size: with a margin it draws what a wider camera sees."""
    splats, camera = random_scene(60, 50, 40, seed=1)
    padded = camera.padded(7)
    wider = Contender(_Seen(EXACT.rasterizer, replace(padded, photo=None, corner=(0, 0))), dtype=torch.float64)
    errors = compare(Contender(install("bags")), wider, splats, padded)
    assert max(errors.values()) < 3e-5, errors
    assert compare(wider, EXACT, splats, padded)["rgb"] > 1e-4  # so the line above can fail


@dataclass(frozen=True)
class _Seen:
    """``rasterizer`` that draws what ``camera`` sees, whatever it is asked for."""

    rasterizer: Rasterizer
    camera: Camera

    def __call__(self, splats: Splats, camera: Camera, **options: Any) -> RenderOutput:
        return self.rasterizer(splats, self.camera, **options)


def test_absolute_gradients_are_sums_of_pixels_magnitudes(install) -> None:
    splats, camera = random_scene(20, 19, 11, seed=2)
    weights = torch.randn(3, 11, 19)
    draw = install("gsplat", absolute_gradients=True)
    inputs = leaves(splats)
    out = draw(inputs, camera, sh_degree=1, background=torch.zeros(3))
    assert out.screen_gradients() is None
    (out.rgb * weights).sum().backward()
    expected = torch.zeros(len(splats.means), 2, dtype=torch.float64)
    rasterizer = EXACT.rasterizer
    exact = leaves(splats, torch.float64)
    slow = rasterizer(exact, camera, sh_degree=1, background=torch.zeros(3, dtype=torch.float64))
    for row in range(11):
        for column in range(19):
            pixel = (slow.rgb[:, row, column] * weights[:, row, column]).sum()
            expected += torch.autograd.grad(pixel, slow.means2d, retain_graph=True)[0].abs()
    torch.testing.assert_close(out.screen_gradients().double(), expected, rtol=1e-4, atol=1e-4)
    signed = torch.autograd.grad((slow.rgb * weights).sum(), slow.means2d)[0]
    assert expected.sum() > 1.5 * signed.abs().sum()
    plain = install("gsplat")(leaves(splats), camera, sh_degree=1, background=torch.zeros(3))
    (plain.rgb * weights).sum().backward()
    assert plain.screen_gradients() is plain.means2d.grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_in_view_and_no_gradients_wanted(install, backend: str) -> None:
    splats, camera = random_scene(12, 30, 20)
    splats.means[:] = camera.center - 5 * camera.rotation[2]
    background = torch.rand(3)
    out = install(backend)(splats, camera, sh_degree=3, background=background)
    torch.testing.assert_close(out.rgb, background[:, None, None].expand(3, 20, 30))
    assert not out.alpha.any() and not out.depth.any() and not out.radii.any() and not out.means2d.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_gsplat_leaves_broken_gaussians_out(install, name: str) -> None:
    splats, camera = random_scene(12, 30, 20)
    draw = install("gsplat")
    kept = draw(Splats(*(getattr(splats, n)[2:] for n in NAMES)), camera, sh_degree=3, background=torch.zeros(3))
    splats.opacities[0] = 0
    getattr(splats, name)[1] = torch.nan
    out = draw(splats, camera, sh_degree=3, background=torch.zeros(3))
    assert out.radii[1] == 0
    torch.testing.assert_close(out.rgb, kept.rgb)


@pytest.mark.parametrize("build, needle", [("inria", "no 2D Mip filter"), ("inria_2024", "no 2D Mip filter")])
def test_builds_without_the_filter_are_refused(install, build: str, needle: str) -> None:
    with pytest.raises(BagsError, match=needle):
        install(build)


def test_unknown_builds_are_refused_by_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = diff_gaussian_stand_in.module("bags", fields=(*diff_gaussian_stand_in.MIP, "num_rays"))
    monkeypatch.setitem(sys.modules, diff_gaussian_backend.MODULE, strange)
    with pytest.raises(BagsError, match=r"unknown build.*num_rays"):
        diff_gaussian_backend.load()


def test_missing_packages_and_wrong_devices_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gsplat", diff_gaussian_backend.MODULE):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BagsError, match=r"pip install -e '\.\[cuda\]'"):
        make_rasterizer("auto", "cuda")
    with pytest.raises(BagsError, match="no usable diff_gaussian_rasterization"):
        make_rasterizer("diff_gaussian", "cuda")
    monkeypatch.setitem(sys.modules, "gsplat", type(sys)("gsplat"))
    with pytest.raises(BagsError, match="lacks quat_scale_to_covar_preci"):
        make_rasterizer("gsplat", "cuda")
    for name in ("gsplat", "diff_gaussian"):
        with pytest.raises(BagsError, match="draws on 'cuda'"):
            make_rasterizer(name, "cpu")
    with pytest.raises(BagsError, match="draws on 'cpu'"):
        make_rasterizer("numba", "cuda")
    with pytest.raises(SettingError, match="absolute_gradients"):
        make_rasterizer("auto", "cpu", absolute_gradients=True)


def test_float64_is_refused_by_name(install) -> None:
    splats, camera = random_scene(5, 20, 20)
    for backend in BACKENDS:
        with pytest.raises(BagsError, match=r"splats\.means is torch\.float64"):
            install(backend)(splats.to(dtype=torch.float64), camera, sh_degree=0, background=torch.zeros(3))


def test_choosing_numba_loads_no_cuda_package() -> None:
    code = (
        "import sys, bags.rendering.gsplat_backend, bags.rendering.diff_gaussian_backend, bags.rendering.parity\n"
        "from bags.rendering import make_rasterizer\n"
        "make_rasterizer('auto', 'cpu')\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'gsplat', 'diff_gaussian_rasterization', 'simple_knn', 'triton'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
