from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bags.densification.strategy import choose_growth, choose_pruned, gather, grown, observe, room
from bags.densification.surgery import rebuild, reset_opacity
from bags.modules.gaussians import Gaussians
from bags.settings import DensifySettings, GaussianSettings
from bags.types import PointCloud


@pytest.fixture
def gaussians() -> Gaussians:
    return some_gaussians()


def some_gaussians() -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    points = PointCloud(torch.randn(40, 3, generator=generator), torch.rand(40, 3, generator=generator))
    made = Gaussians(points, GaussianSettings(), extent=10.0)
    made.filter_sigma = torch.rand(40, generator=generator) * 0.3
    return made


def stepped(gaussians: Gaussians) -> torch.optim.Adam:
    """An Adam with one step behind it, so that every parameter has moments."""
    groups = [{"name": name, "params": [getattr(gaussians, name)], "lr": 1e-3} for name in gaussians.PARAMETERS]
    optimizer = torch.optim.Adam(groups)
    generator = torch.Generator().manual_seed(1)
    for name in gaussians.PARAMETERS:
        parameter = getattr(gaussians, name)
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    return optimizer


def moments(gaussians: Gaussians, optimizer: torch.optim.Adam, name: str) -> Tensor:
    return optimizer.state[getattr(gaussians, name)]["exp_avg"]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 6)), min_size=1, max_size=4))
def test_surgery_keeps_every_row_together(edits: list[tuple[int, int]]) -> None:
    """Parameters, both of Adam's moments and the statistics of a Gaussian stay one row, whatever is cut and added."""
    made = some_gaussians()
    optimizer, count = stepped(made), len(made)
    tags = torch.arange(1.0, count + 1)  # a number for each Gaussian in all that belongs to it; 0: none yet

    def marked(shape: torch.Size, rows: Tensor) -> Tensor:
        return rows.view(-1, *[1] * (len(shape) - 1)).expand(shape).clone()

    for name in made.PARAMETERS:
        parameter = getattr(made, name)
        parameter.data.copy_(marked(parameter.shape, tags))
        state = optimizer.state[parameter]
        state["exp_avg"].copy_(marked(parameter.shape, tags + 0.25))
        state["exp_avg_sq"].copy_(marked(parameter.shape, tags + 0.5))
    for name in made.BUFFERS:
        setattr(made, name, tags.clone())
    seen, learned = tags, tags
    for seed, more in edits:
        keep = torch.rand(len(made), generator=torch.Generator().manual_seed(seed)) < 0.7
        new = torch.arange(more) + 1000.0 + seed
        added = {name: marked((more, *getattr(made, name).shape[1:]), new) for name in made.PARAMETERS}  # type: ignore[arg-type]
        rebuild(made, optimizer, keep, added if more else None)
        seen, learned = torch.cat([seen[keep], new]), torch.cat([learned[keep], torch.zeros(more)])
    for name in made.PARAMETERS:
        parameter = getattr(made, name)
        assert torch.equal(parameter.data, marked(parameter.shape, seen)), name
        assert parameter.requires_grad and parameter.grad is None
        for key, offset in (("exp_avg", 0.25), ("exp_avg_sq", 0.5)):
            expected = torch.where(learned > 0, learned + offset, 0.0)
            assert torch.equal(optimizer.state[parameter][key], marked(parameter.shape, expected)), (name, key)
    for name in made.BUFFERS:
        assert torch.equal(getattr(made, name), learned), name
    assert len(optimizer.state) == len(made.PARAMETERS)
    assert {id(group["params"][0]) for group in optimizer.param_groups} == {id(p) for p in made.parameters()}


def test_optimiser_goes_on_after_surgery_like_one_that_never_held_the_others(gaussians: Gaussians) -> None:
    """Adam on the survivors alone, from the start, must give the same values."""
    keep = torch.arange(40) < 25
    alone = Gaussians(PointCloud(torch.zeros(25, 3), torch.zeros(25, 3)), GaussianSettings(), 10.0)
    alone.load_state_dict({k: v[keep] if isinstance(v, Tensor) else v for k, v in gaussians.state_dict().items()})
    optimizer, other = stepped(gaussians), None
    groups = [{"name": name, "params": [getattr(alone, name)], "lr": 1e-3} for name in alone.PARAMETERS]
    other = torch.optim.Adam(groups)
    generator = torch.Generator().manual_seed(1)
    for name in alone.PARAMETERS:
        full = torch.randn(getattr(gaussians, name).shape, generator=generator)
        getattr(alone, name).grad = full[keep]
    other.step()
    rebuild(gaussians, optimizer, keep)
    for model, adam in ((gaussians, optimizer), (alone, other)):
        for name in model.PARAMETERS:
            getattr(model, name).grad = torch.ones_like(getattr(model, name))
        adam.step()
    for name in gaussians.PARAMETERS:
        torch.testing.assert_close(getattr(gaussians, name), getattr(alone, name), rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 2**31))
def test_gradients_are_observed_per_ndc_unit_where_drawn(width: int, height: int, seed: int) -> None:
    """x' = 2 x / W - 1, so dL/dx' = W/2 dL/dx, and likewise down; what is not drawn counts for nothing."""
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(40, 2, generator=generator)
    radii = torch.randint(0, 3, (40,), generator=generator, dtype=torch.int32)
    made = some_gaussians()
    gather(made, observe(gradients, radii, width, height))
    expected = [math.sqrt((x * width / 2) ** 2 + (y * height / 2) ** 2) for x, y in gradients.tolist()]
    seen = [float(radius > 0) for radius in radii.tolist()]
    assert made.gradient_sum.tolist() == pytest.approx([s * e for s, e in zip(seen, expected, strict=True)], rel=1e-5)
    assert made.gradient_count.tolist() == seen and made.max_radius.tolist() == radii.tolist()


def test_several_views_are_gathered_as_one_after_the_other(gaussians: Gaussians) -> None:
    generator = torch.Generator().manual_seed(2)
    views = [
        observe(torch.randn(40, 2, generator=generator), torch.randint(0, 9, (40,), generator=generator), 30, 20)
        for _ in range(3)
    ]
    gather(gaussians, views[0] + views[1] + views[2])
    together = {name: getattr(gaussians, name).clone() for name in gaussians.STATISTICS}
    for name in gaussians.STATISTICS:
        getattr(gaussians, name).zero_()
    for view in views:
        gather(gaussians, view)
    for name, values in together.items():
        assert values.any()
        torch.testing.assert_close(getattr(gaussians, name), values)


def test_growth_clones_small_splits_large(gaussians: Gaussians) -> None:
    gaussians.log_scales.data[:] = torch.tensor(0.05).log()  # small: at most 0.01 * 10
    gaussians.log_scales.data[1, 2] = torch.tensor(0.5).log()
    gaussians.gradient_sum[:3] = 1e-2
    gaussians.gradient_count[:3] = torch.tensor([10.0, 10.0, 100.0])
    growth = choose_growth(gaussians, DensifySettings(), threshold=5e-4, room=1000)
    assert growth.clone.nonzero().flatten().tolist() == [0]
    assert growth.split.nonzero().flatten().tolist() == [1]


def test_growth_respects_the_room_and_takes_the_largest_gradients(gaussians: Gaussians) -> None:
    gaussians.gradient_sum = torch.arange(40.0)
    gaussians.gradient_count = torch.ones(40)
    growth = choose_growth(gaussians, DensifySettings(), threshold=1.0, room=3)
    assert (growth.clone | growth.split).nonzero().flatten().tolist() == [37, 38, 39]
    full = choose_growth(gaussians, DensifySettings(), threshold=1.0, room=0)
    assert not (full.clone | full.split).any()


def test_children_are_drawn_from_their_parent(gaussians: Gaussians) -> None:
    """Sample mean and covariance of many children match the parent's Gaussian."""
    gaussians.log_scales.data[7] = torch.tensor([0.1, 0.5, 2.0]).log()
    gaussians.rotations.data[7] = torch.tensor([0.9, 0.1, -0.3, 0.2])
    split = torch.zeros(40, dtype=torch.bool)
    split[7] = True
    chosen = DensifySettings(split_into=40_000)
    from bags.densification.strategy import Growth
    from bags.ops.geometry import covariance_root

    noise = torch.randn(40_000, 3, generator=torch.Generator().manual_seed(5))
    children = grown(gaussians, Growth(torch.zeros_like(split), split), chosen, noise)
    offsets = children["means"] - gaussians.means[7]
    root = covariance_root(gaussians.scales[7], gaussians.rotations[7]).detach()
    assert (offsets.T @ offsets / 40_000 - root @ root.T).abs().max() < 0.1
    expected = gaussians.log_scales[7] - torch.tensor(0.8 * 40_000).log()
    torch.testing.assert_close(children["log_scales"][0], expected.detach())


def test_published_children_are_a_factor_of_1_6_smaller(gaussians: Gaussians) -> None:
    from bags.densification.strategy import Growth

    split = torch.arange(40) == 3
    children = grown(gaussians, Growth(~split & False, split), DensifySettings(), torch.zeros(2, 3))
    torch.testing.assert_close(children["log_scales"].exp(), (gaussians.scales[3] / 1.6).detach().expand(2, 3))
    torch.testing.assert_close(children["means"], gaussians.means[3].detach().expand(2, 3))


def test_prune_rules(gaussians: Gaussians) -> None:
    gaussians.opacity_logits.data[:] = torch.tensor(0.5).logit()
    gaussians.opacity_logits.data[0] = torch.tensor(0.05).logit()
    gaussians.opacity_logits.data[1] = torch.tensor(0.003).logit()
    gaussians.log_scales.data[:] = 0.0
    gaussians.log_scales.data[2, 0] = torch.tensor(1.5).log()  # above 0.1 * extent 10
    gaussians.max_radius[3] = 21

    def pruned(chosen: DensifySettings, multi_scale: bool = False, big: bool = False) -> list[int]:
        return choose_pruned(gaussians, chosen, multi_scale, big).nonzero().flatten().tolist()

    assert pruned(DensifySettings()) == [0, 1]
    assert pruned(DensifySettings(), big=True) == [0, 1]  # the size rule belongs to min_opacity = 0.005
    mip360 = DensifySettings(min_opacity=0.005, init_opacity=0.1)
    assert pruned(mip360) == [1] and pruned(mip360, multi_scale=True) == [0, 1]
    assert pruned(mip360, big=True) == [1, 2]
    assert pruned(DensifySettings(prune_screen=20)) == [0, 1, 3]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.004, 0.005, 0.006, 0.1]),
    st.sampled_from([-1.0, 0.0, 0.05]),
    st.none() | st.just(20.0),
    st.booleans(),
    st.booleans(),
)
def test_pruned_is_what_is_faint_without_the_filter_or_too_large(
    seed: int, min_opacity: float, init_opacity: float, prune_screen: float | None, multi_scale: bool, big: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    made = some_gaussians()
    made.opacity_logits.data[:] = 3 * torch.randn(40, generator=generator) - 4
    made.log_scales.data[:] = torch.randn(40, 3, generator=generator)
    made.max_radius[:] = 40 * torch.rand(40, generator=generator)
    chosen = DensifySettings(min_opacity=min_opacity, init_opacity=init_opacity, prune_screen=prune_screen)
    expected = []
    for logit, scales, radius in zip(
        made.opacity_logits.tolist(), made.log_scales.tolist(), made.max_radius.tolist(), strict=True
    ):
        least = init_opacity if multi_scale and init_opacity >= 0 else min_opacity
        faint = 1 / (1 + math.exp(-logit)) < least
        wide = big and min_opacity <= 0.005 and math.exp(max(scales)) > chosen.prune_big * made.extent
        expected.append(faint or wide or (prune_screen is not None and radius > prune_screen))
    assert choose_pruned(made, chosen, multi_scale, big).tolist() == expected


def test_room_is_what_memory_and_settings_leave(subtests: pytest.Subtests) -> None:
    """59 numbers of 4 bytes each, ten times over, in half of what is free."""
    for count, free, most in [
        (40, 10**9, None),
        (40, 10**9, 60),
        (40, 10**5, 60),
        (40, 10**5, 61),
        (40, 10**5, 62),
        (40, 10**9, 30),
    ]:
        with subtests.test(count=count, free=free, most=most):
            by_memory = int(free / 2 / (4 * 10 * 59))
            left = None if most is None else max(most - count, 0)
            expected = (by_memory, True) if left is None or by_memory <= left else (left, False)
            assert room(some_gaussians(), most, free) == expected


def test_opacity_reset_caps_the_filtered_opacity(gaussians: Gaussians) -> None:
    optimizer = stepped(gaussians)
    gaussians.opacity_logits.data[:20] = torch.tensor(0.9).logit()
    gaussians.opacity_logits.data[20:] = torch.tensor(1e-3).logit()
    before = gaussians.splats().opacities.detach()
    reset_opacity(gaussians, optimizer, 0.01)
    torch.testing.assert_close(gaussians.splats().opacities, before.clamp_max(0.01), rtol=1e-4, atol=1e-7)
    assert not moments(gaussians, optimizer, "opacity_logits").any()
    assert moments(gaussians, optimizer, "means").any()


def test_a_reset_keeps_opacities_that_are_rounded_to_one_finite(gaussians: Gaussians) -> None:
    """Nearly filtered away, a Gaussian may learn a logit beyond float32's last opacity below 1; it is drawn faint."""
    optimizer = stepped(gaussians)
    gaussians.opacity_logits.data[:] = torch.linspace(-20, 40, 40)
    gaussians.log_scales.data[:] = -8.0
    before, logits = gaussians.splats().opacities.detach(), gaussians.opacity_logits.detach().clone()
    assert (before < 0.01).all() and (gaussians.opacities == 1).any()
    reset_opacity(gaussians, optimizer, 0.01)
    assert torch.equal(gaussians.opacity_logits, logits)
