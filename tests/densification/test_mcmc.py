"""Relocation keeps what is drawn, growth keeps to its budget, noise has the covariance's shape."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from bags.densification.mcmc import dead, draw_live, growth, noise, relocate, share, shared
from bags.modules.gaussians import Gaussians
from bags.ops.geometry import covariance_root, quaternion_to_rotation
from bags.rendering import make_rasterizer, reference
from bags.schedule import ScaleSchedule
from bags.settings import DensifySettings, GaussianSettings, ScheduleSettings
from bags.types import Camera, PointCloud, RenderOutput
from tests.densification.test_densification import moments, some_gaussians, stepped

MCMC = DensifySettings(strategy="mcmc")
COPIES = [1, 2, 3, 7, 40, 5000]
OPACITIES = [1e-9, 1e-4, 0.02, 0.3, 0.7, 0.95, 0.999]


def profile(opacity: Tensor, scale: Tensor, copies: int) -> Tensor:
    """Opacity of ``copies`` Gaussians on top of each other, along a line through the centre."""
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    return -torch.expm1(copies * torch.log1p(-opacity * torch.exp(-(x**2) / (2 * scale**2))))


def test_copies_have_the_opacity_and_the_integral_of_the_one(subtests: pytest.Subtests) -> None:
    for copies, opacity in product(COPIES, OPACITIES):
        with subtests.test(copies=copies, opacity=opacity):
            whole = torch.tensor([opacity], dtype=torch.float64)
            part, factor = shared(whole, torch.tensor([copies]))
            one = profile(whole, torch.ones(1, dtype=torch.float64), 1)
            many = profile(part, factor, copies)
            assert many.max().item() == pytest.approx(opacity, rel=1e-6)
            assert many.sum().item() == pytest.approx(one.sum().item(), rel=1e-6)
            assert 0 < float(factor) <= 1 + 1e-9 and (copies > 1 or float(factor) == pytest.approx(1))


def test_the_sum_is_that_of_the_paper(subtests: pytest.Subtests) -> None:
    """Eq. 9, its double sum written out."""
    for copies in [2, 3, 4]:
        with subtests.test(copies=copies):
            opacity = 0.6
            part = 1 - (1 - opacity) ** (1 / copies)
            total = sum(
                math.comb(i - 1, k) * (-1) ** k * part ** (k + 1) / math.sqrt(k + 1)
                for i in range(1, copies + 1)
                for k in range(i)
            )
            found, factor = shared(torch.tensor([opacity]).double(), torch.tensor([copies]))
            assert float(found) == pytest.approx(part) and float(factor) == pytest.approx(opacity / total)


def test_any_opacity_can_be_shared() -> None:
    opacities = torch.tensor([0.0, 1e-45, 0.5, 1.0]).repeat(3)
    part, factor = shared(opacities, torch.tensor([1, 2, 100_000]).repeat_interleave(4))
    assert bool((part > 0).all() & (part < 1).all() & (factor > 0).all() & (factor <= 1 + 1e-9).all())


def one_gaussian(opacity: float, sigma: float, scales: tuple[float, float, float]) -> Gaussians:
    """In front of a camera at the origin, turned; float64."""
    made = Gaussians(PointCloud(torch.tensor([[0.1, -0.2, 4.0]]), torch.ones(1, 3)), GaussianSettings(), 1.0).double()
    made.log_scales.data[:] = torch.tensor(scales, dtype=torch.float64).log()
    made.rotations.data[:] = torch.tensor([0.9, 0.2, -0.4, 0.1])
    made.opacity_logits.data[:] = torch.tensor(opacity, dtype=torch.float64).logit()
    made.filter_sigma[:] = sigma
    return made


def drawn(gaussians: Gaussians) -> RenderOutput:
    camera = Camera(torch.eye(3), torch.zeros(3), 60.0, 60.0, 64, 48)
    background = torch.zeros(3, dtype=torch.float64)
    return make_rasterizer("reference", "cpu")(gaussians.splats(), camera, sh_degree=0, background=background)


@pytest.mark.parametrize("copies", [2, 5, 20])
@pytest.mark.parametrize(
    ("opacity", "sigma", "scales"),
    [
        (0.3, 0.0, (0.5, 0.3, 0.4)),
        (0.9, 0.0, (0.5, 0.02, 0.4)),  # flat
        (0.9, 0.2, (0.5, 0.3, 0.4)),
        (0.9, 0.2, (0.5, 0.02, 0.4)),  # flatter than the filter
        (0.5, 0.3, (0.3, 0.2, 0.2)),
    ],
)
def test_relocation_keeps_the_render(
    opacity: float,
    sigma: float,
    scales: tuple[float, float, float],
    copies: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference, "MIN_ALPHA", 1e-12)  # or faint copies would not be drawn
    gaussians = one_gaussian(opacity, sigma, scales)
    with torch.no_grad():
        before, peak = drawn(gaussians).alpha, float(gaussians.splats().opacities)
    optimizer = stepped_in_place(gaussians)
    relocate(gaussians, optimizer, torch.tensor([False]), torch.zeros(copies - 1, dtype=torch.long))
    with torch.no_grad():
        after = drawn(gaussians).alpha
        together = 1 - (1 - gaussians.splats().opacities).prod()
    assert len(gaussians) == copies and bool((gaussians.filter_sigma == sigma).all())
    assert float(together) == pytest.approx(peak, rel=1e-9)
    # Peak and integrals along lines through the centre stay, not the shape: the more opaque, the more it changes.
    assert float((after - before).abs().max()) < 0.1 * peak**2
    assert float(after.sum()) == pytest.approx(float(before.sum()), rel=0.09 * peak)
    unchanged = 1 - (1 - before) ** copies  # copies without the formula
    assert float((unchanged - before).max()) > 5 * float((after - before).abs().max())


def stepped_in_place(gaussians: Gaussians) -> torch.optim.Adam:
    """An Adam with moments, for the values as they are."""
    values = {name: getattr(gaussians, name).detach().clone() for name in gaussians.PARAMETERS}
    groups = [{"name": name, "params": [getattr(gaussians, name)], "lr": 1e-3} for name in gaussians.PARAMETERS]
    optimizer = torch.optim.Adam(groups)
    for name in gaussians.PARAMETERS:
        getattr(gaussians, name).grad = torch.ones_like(getattr(gaussians, name))
    optimizer.step()
    for name, value in values.items():
        getattr(gaussians, name).data.copy_(value)
    return optimizer


@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_drawn_scales_are_those_of_the_formula(sigma: float) -> None:
    gaussians = one_gaussian(0.8, sigma, (0.5, 0.3, 0.4))
    before = gaussians.splats()
    values = share(gaussians, torch.tensor([0]), torch.tensor([3]))
    _, factor = shared(before.opacities, torch.tensor([3]))
    gaussians.log_scales.data.copy_(values["log_scales"])
    torch.testing.assert_close(gaussians.splats().scales, before.scales * factor[:, None])


def test_an_axis_thinner_than_the_filter_stays_finite() -> None:
    gaussians = one_gaussian(0.999, 0.3, (0.5, 1e-6, 0.4))
    values = share(gaussians, torch.tensor([0]), torch.tensor([9]))
    thin = float(values["log_scales"].exp().amin())
    assert 1e-6 / 4 < thin < 1e-6 and all(bool(value.isfinite().all()) for value in values.values())


def test_dead_ones_are_gone_and_their_places_taken() -> None:
    gaussians = some_gaussians()
    optimizer = stepped(gaussians)
    gaussians.opacity_logits.data[:] = torch.tensor(0.4).logit()
    gaussians.opacity_logits.data[5:15] = torch.tensor(0.004).logit()
    gaussians.opacity_logits.data[3] = torch.nan
    gaussians.max_radius += 1
    old = gaussians.means.detach().clone()
    gone = dead(gaussians, MCMC)
    assert gone.nonzero().flatten().tolist() == [3, *range(5, 15)]
    chosen = draw_live(gaussians, gone, torch.rand(11, generator=torch.Generator().manual_seed(3)))
    learned = moments(gaussians, optimizer, "means").clone()
    relocate(gaussians, optimizer, gone, chosen)
    assert len(gaussians) == 40 and not bool(dead(gaussians, MCMC).any())
    touched = chosen.unique()
    kept = [i for i in range(40) if not gone[i] and i not in touched]
    torch.testing.assert_close(gaussians.means[: len(kept)].detach(), old[kept], rtol=0, atol=0)
    torch.testing.assert_close(moments(gaussians, optimizer, "means")[: len(kept)], learned[kept], rtol=0, atol=0)
    assert bool((gaussians.max_radius[: len(kept)] == 1).all()) and not bool(gaussians.max_radius[len(kept) :].any())
    expected = old[touched].repeat_interleave(torch.bincount(chosen)[touched] + 1, dim=0)
    torch.testing.assert_close(gaussians.means[len(kept) :].detach(), expected, rtol=0, atol=0)
    for name in gaussians.PARAMETERS:
        state = optimizer.state[getattr(gaussians, name)]
        for key in ("exp_avg", "exp_avg_sq"):
            assert state[key].shape == getattr(gaussians, name).shape and not bool(state[key][len(kept) :].any())


def test_live_ones_are_drawn_by_their_opacity() -> None:
    gaussians = some_gaussians()
    opacities = torch.zeros(40)
    opacities[[2, 7, 30]] = torch.tensor([0.6, 0.3, 0.1])
    gaussians.opacity_logits.data[:] = opacities.logit()
    gone = opacities < 0.005
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(draw_live(gaussians, gone, draws), minlength=40) / 20_000
    torch.testing.assert_close(counts, opacities, rtol=0, atol=0.01)
    ends = torch.tensor([0.0, 1 - 2**-24])
    assert draw_live(gaussians, gone, ends).tolist() == [2, 30]  # never a dead one, however the draw falls


def test_growth(subtests: pytest.Subtests) -> None:
    for count, room, added in [(1000, 9999, 50), (1001, 9999, 51), (1, 9999, 1), (1000, 7, 7)]:
        with subtests.test(count=count, room=room, added=added):
            assert growth(count, MCMC, 1.0, room) == added
            assert growth(count, replace(MCMC, growth=0.0), 10.0, room) == growth(count, MCMC, 10.0, 0) == 0


def test_a_shortened_run_grows_as_much_as_the_full_one() -> None:
    full, short = ScaleSchedule(ScheduleSettings()), ScaleSchedule(ScheduleSettings(steps=1500))
    assert full.densify_weight == 1 and ScaleSchedule(ScheduleSettings(steps=60_000)).densify_weight == 1
    assert (short.densify_every, short.densify_weight) == (50, pytest.approx(10))
    assert growth(1000, MCMC, short.densify_weight, 9999) == math.ceil(1000 * 1.05**10) - 1000
    assert growth(1000, replace(MCMC, growth=1.0), 1e5, 77) == 77


def test_noise_has_the_shape_of_the_covariance() -> None:
    gaussians = some_gaussians()
    gaussians.log_scales.data[:] = torch.tensor([0.1, 0.5, 1.5]).log()
    gaussians.rotations.data[:] = torch.tensor([0.9, 0.1, -0.3, 0.2])
    gaussians.opacity_logits.data[:] = torch.tensor(0.005).logit()
    draw = torch.Generator().manual_seed(4)
    shifts = torch.cat([noise(gaussians, MCMC, 1e-5, torch.randn(40, 3, generator=draw)) for _ in range(500)])
    root = covariance_root(gaussians.scales[0], gaussians.rotations[0]).detach()
    covariance = root @ root.T
    expected = (0.5 * 5e5 * 1e-5) ** 2 * covariance @ covariance  # half open at the opacity of the dead
    found = shifts.T @ shifts / len(shifts)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))
    axes = quaternion_to_rotation(gaussians.rotations[0]).detach()
    assert float((axes.T @ found @ axes)[0, 0]) < 1e-3 * float((axes.T @ found @ axes)[2, 2])


def test_opaque_gaussians_are_not_shaken() -> None:
    gaussians = some_gaussians()
    gaussians.opacity_logits.data[:] = torch.linspace(0.001, 0.99, 40).logit()
    shift = noise(gaussians, MCMC, 1e-3, torch.ones(40, 3)).norm(dim=1)
    # fading: half of it at 0.005, a ten-thousandth at 0.1
    assert bool((shift[:1] > 1).all()) and bool((shift[8:] < 1e-6 * shift[0]).all())
    before = gaussians.means.detach()[20:]
    assert torch.equal(before + noise(gaussians, MCMC, 1e-3, torch.ones(40, 3))[20:], before)
