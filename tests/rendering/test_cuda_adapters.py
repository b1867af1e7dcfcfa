"""The CUDA adapters against the float64 reference, on stand-ins for the packages that need a GPU."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import diff_gaussian_stand_in
import gsplat_stand_in
import pytest
import torch
from random_splats import leaves

from bags.benchmark.gpu_checks import OPAQUE_GRADIENTS, OPAQUE_VALUES
from bags.errors import BagsError, SettingError
from bags.rendering import diff_gaussian_backend, gsplat_backend, make_rasterizer
from bags.rendering.base import MAX_ALPHA, Rasterizer
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
            gsplat_stand_in.put_in_place(monkeypatch)
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
    assert ("grad.background" in errors) == (backend == "gsplat")  # the builds of diff_gaussian give it none
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


def test_no_gaussians_at_all_show_the_background(install) -> None:
    splats, camera = random_scene(3, 30, 20)
    background = torch.rand(3, requires_grad=True)
    draw = install("gsplat", absolute_gradients=True)
    out = draw(leaves(Splats(*(getattr(splats, n)[:0] for n in NAMES))), camera, sh_degree=3, background=background)
    assert torch.equal(out.rgb, background[:, None, None].expand(3, 20, 30))
    assert not out.alpha.any() and not out.depth.any() and len(out.radii) == 0
    out.rgb.sum().backward()
    assert background.grad.tolist() == [600, 600, 600]


@pytest.mark.parametrize("name", ["at the centre", *NAMES])
def test_broken_and_transparent_gaussians_are_as_if_they_were_not_there(install, name: str) -> None:
    splats, camera = random_scene(12, 30, 20)
    splats.opacities[0] = 0
    if name == "at the centre":  # of the camera, to the last bit
        camera = replace(camera, translation=torch.zeros(3))
        splats.means[1] = 0
    else:
        getattr(splats, name)[1] = torch.nan
    scenes = leaves(splats), leaves(Splats(*(getattr(splats, n)[2:] for n in NAMES)))
    draw = install("gsplat")
    all_drawn, kept_drawn = (draw(scene, camera, sh_degree=3, background=torch.zeros(3)) for scene in scenes)
    assert all_drawn.radii[1] == 0
    torch.testing.assert_close(all_drawn.rgb, kept_drawn.rgb)
    for out in (all_drawn, kept_drawn):
        (out.rgb.sum() + out.depth.sum()).backward()
    assert scenes[1].means.grad.abs().sum() > 0
    for field in NAMES:
        gradient, kept = (getattr(scene, field).grad for scene in scenes)
        assert not gradient[1].any(), field  # NaN would count as any
        torch.testing.assert_close(gradient[2:], kept, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width, backend, values, gradients", [
    (0.1, "gsplat", 2e-4, 5e-4), (0.1, "reference", 3e-4, 8e-4), (0.1, "numba", 2e-4, 5e-4),
    (0.02, "gsplat", 2e-4, 5e-4), (0.02, "reference", 7e-3, 3e-2), (0.02, "numba", 2e-4, 5e-4),
])  # fmt: skip
def test_needles_are_drawn_and_learn(
    install, width: float, backend: str, values: float, gradients: float
) -> None:  # fmt: skip
    """100 px long, in float32, where xx yy - xy^2 of their covariance has hardly a digit left.

    With that difference, gsplat and reference: values 7e-3 and gradients 1e-2 at 0.1 px, 0.3 and 0.5 at 0.02 px. What
    is left is float32 itself, in the reference's blending too, where such needles are 5,000 times as long as wide.
    """
    draw = torch.Generator().manual_seed(0)
    splats, _ = random_scene(40, 97, 65, seed=1)
    camera = Camera(torch.eye(3), torch.zeros(3), 100.0, 100.0, 97, 65)
    splats = replace(
        splats,
        means=torch.cat([2 * torch.rand(40, 2, generator=draw) - 1, torch.full((40, 1), 4.0)], dim=1),
        scales=torch.tensor([4.0, 0.04 * width, 0.04 * width]).expand(40, 3),  # 25 px a unit at this distance
    )
    rasterizer = install(backend) if backend == "gsplat" else make_rasterizer(backend, "cpu")
    errors = compare(Contender(rasterizer), EXACT, splats, camera, sh_degree=1)
    assert errors.pop("drawn") == errors.pop("radii") == 0
    for name, error in errors.items():
        assert error < (gradients if name.startswith("grad.") else values), errors


def test_opaque_gaussians_differ_by_the_cap_of_alpha(install) -> None:
    """gsplat caps alpha at 0.999: within the limits that ``gpu_checks`` has for such scenes."""
    scene = random_scene(150, 61, 45, seed=5, opaque=True)
    assert 0.3 < (scene[0].opacities > MAX_ALPHA).float().mean() < 0.7
    errors = compare(Contender(install("gsplat")), EXACT, *scene)
    assert max(errors[name] for name in ("rgb", "depth", "alpha")) < OPAQUE_VALUES
    assert max(error for name, error in errors.items() if name.startswith("grad.")) < OPAQUE_GRADIENTS
    assert errors["rgb"] > 3e-5 and errors["grad.opacities"] > 1e-2  # so that this is a scene where it matters
    same = compare(Contender(install("bags")), EXACT, *scene)  # caps at 0.99, as we do
    assert max(same["rgb"], same["depth"], same["alpha"]) < 3e-5, same


def test_gsplat_without_kernels_is_reported_with_a_remedy(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("gsplat")
    sys.modules["gsplat.cuda._backend"]._C = None
    with pytest.raises(BagsError, match=r"gsplat: gsplat has no compiled kernels and finds no CUDA toolkit \(nvcc\)"):
        make_rasterizer("auto", "cuda")

    def broken(name: str) -> None:
        raise RuntimeError("Error building extension 'gsplat_cuda'\nmore lines")

    monkeypatch.setattr(gsplat_backend.importlib, "import_module", broken)
    with pytest.raises(BagsError, match=r"cannot be loaded or compiled \(RuntimeError: Error building extension"):
        make_rasterizer("gsplat", "cuda")


def test_one_process_at_a_time_compiles_gsplat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gsplat deletes the lock and the folder of whoever compiles: the next one has to wait until the first is done."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    events: list[str] = []

    def compiling() -> None:
        with gsplat_backend._one_at_a_time():
            events.append("begin")
            events.append("end")

    with gsplat_backend._one_at_a_time():
        other = Thread(target=compiling)
        other.start()
        other.join(0.2)
        assert other.is_alive() and not events
    other.join()
    assert events == ["begin", "end"]


def changed(**functions: Any) -> ModuleType:
    made = ModuleType("gsplat")
    made.__dict__.update(vars(gsplat_stand_in) | {"__version__": "1.6.0"} | functions)
    return made


def sh_of_views(degrees_to_use, means, viewmats, coeffs, masks=None): ...


def sh_with_more(degrees_to_use, dirs, coeffs, colour_space): ...


@pytest.mark.parametrize("other, needle", [
    (sh_of_views, r"a different spherical_harmonics\(degrees_to_use, means, viewmats, coeffs, masks\)"),
    (sh_with_more, r"a different spherical_harmonics\(degrees_to_use, dirs, coeffs, colour_space\)"),
    (None, "no spherical_harmonics"),
])  # fmt: skip
def test_incompatible_gsplat_is_refused_with_the_difference(
    install, monkeypatch: pytest.MonkeyPatch, other: Any, needle: str
) -> None:
    install("gsplat")
    monkeypatch.setitem(sys.modules, "gsplat", changed(spherical_harmonics=other))
    with pytest.raises(BagsError, match=rf"version 1\.6\.0 has {needle}; install a supported version"):
        make_rasterizer("gsplat", "cuda")


def test_the_installed_gsplat_has_the_functions_as_they_are_called() -> None:
    gsplat = pytest.importorskip("gsplat")
    assert [gsplat_backend._differs(gsplat, name) for name in gsplat_backend.FUNCTIONS] == [None] * 4


@pytest.mark.parametrize("build, needle", [("inria", "no 2D Mip filter"), ("inria_2024", "no 2D Mip filter")])
def test_builds_without_the_filter_are_refused(install, build: str, needle: str) -> None:
    with pytest.raises(BagsError, match=needle):
        install(build)


def test_unknown_builds_are_refused_with_the_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = diff_gaussian_stand_in.module("bags", fields=(*diff_gaussian_stand_in.MIP, "num_rays"))
    monkeypatch.setitem(sys.modules, diff_gaussian_backend.MODULE, strange)
    with pytest.raises(BagsError, match=r"unknown build.*num_rays"):
        diff_gaussian_backend.load()


def test_missing_packages_and_wrong_devices_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsplat_backend, "why_not", inspect.unwrap(gsplat_backend.why_not))
    for name in ("gsplat", "gsplat.cuda._backend", diff_gaussian_backend.MODULE):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BagsError, match=r"pip install -e '\.\[cuda\]'"):
        make_rasterizer("auto", "cuda")
    with pytest.raises(BagsError, match="no usable diff_gaussian_rasterization"):
        make_rasterizer("diff_gaussian", "cuda")
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
