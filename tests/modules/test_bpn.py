"""The BPN against a plain formulation: inputs concatenated, every layer an nn.Conv2d-like convolution."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, instance_norm, interpolate, pad

from bags.modules.bpn import BPN, Proposal
from bags.ops.interpolated_conv import interpolated_conv_reference, node_kernels
from bags.ops.per_pixel_conv import per_pixel_conv_reference
from bags.ops.positional import positional_code_2d
from bags.settings import BPNSettings
from bags.types import Camera

HEIGHT, WIDTH, VIEWS = 19, 26, 3


def render(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, HEIGHT, WIDTH, generator=generator), 2 + torch.rand(HEIGHT, WIDTH, generator=generator)


def network(single: int | None = None, bfloat16: bool = False, **switches: Any) -> BPN:
    torch.manual_seed(1)
    return BPN(VIEWS, (3, 5, 7), single, BPNSettings(kernels=(3, 5, 7), **switches), bfloat16)


def plain(bpn: BPN, view: int, scale: int | str, rgb: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, kernel head and mask as section 3 writes them."""
    settings = bpn.settings
    inputs = [bpn.embedding(torch.tensor(view))[:, None, None].expand(-1, *depth.shape)]
    if settings.use_position:
        inputs.append(positional_code_2d(*depth.shape, settings.position_channels).to(rgb))
    if settings.use_rgbd:
        cnn = bpn.render_features
        depth = depth - depth.min()
        x = torch.cat([rgb, (depth / depth.max())[None]])[None].detach()
        x = instance_norm(conv2d(x, cnn.conv1.weight, cnn.conv1.bias, padding=2).relu())
        x = instance_norm(conv2d(x, cnn.conv2.weight, cnn.conv2.bias, padding=2).relu())
        inputs.append(conv2d(x, cnn.conv3.weight, cnn.conv3.bias, padding=1)[0])
    branch, level = (bpn.second, 1) if scale == "single" else (bpn.scales, scale)
    x = torch.cat(inputs)[None]
    for layer in branch.layers[: level + 1]:
        x = conv2d(x, layer.weight[:, :, None, None]).relu()
    mask = conv2d(x, branch.mask_heads[str(level)].weight[:, :, None, None]).sigmoid()[0, 0]
    return x[0], branch.kernel_heads[str(level)].weight, mask


def test_shapes(subtests: pytest.Subtests) -> None:
    for use_rgbd, use_position, (scale, side) in product(
        [True, False], [True, False], [(0, 3), (1, 5), (2, 7), ("single", 9)]
    ):
        with subtests.test(scale=scale, position=use_position, rgbd=use_rgbd):
            bpn = network(9, use_position=use_position, use_rgbd=use_rgbd)
            proposal = bpn(1, scale, *render())
            assert proposal.features.shape == (64, HEIGHT, WIDTH)
            assert proposal.head.shape == (side * side, 64)
            assert proposal.mask.shape == (HEIGHT, WIDTH)
            assert proposal.kernel_size == side
            assert proposal.blur(torch.rand(3, HEIGHT + side - 1, WIDTH + side - 1)).shape == (3, HEIGHT, WIDTH)


def test_values_and_gradients_equal_the_plain_formulation(subtests: pytest.Subtests) -> None:
    for scale, switches in [
        (0, {}),
        (2, {}),
        ("single", {}),
        (1, {"use_position": False}),
        (1, {"use_rgbd": False}),
        (0, {"use_position": False, "use_rgbd": False}),
    ]:
        with subtests.test(scale=scale, **switches):
            fast, slow = network(9, **switches), network(9, **switches).double()
            rgb, depth = render()
            proposal = fast(2, scale, rgb, depth)
            reach = proposal.kernel_size // 2
            image = pad(rgb, (reach,) * 4)
            blurred = proposal.blur(image)
            features, head, mask = plain(slow, 2, scale, rgb.double(), depth.double())
            expected = per_pixel_conv_reference(image.double(), features, head, mask)
            torch.testing.assert_close(blurred.double(), expected, rtol=0, atol=1e-5)  # worst seen 1e-6
            target = torch.rand_like(blurred)
            for prediction, opened in ((blurred, proposal.mask), (expected, mask)):
                ((prediction - target) ** 2).sum().add(opened.mean()).backward()
            for (name, parameter), reference in zip(fast.named_parameters(), slow.parameters(), strict=True):
                assert (parameter.grad is None) == (reference.grad is None), name
                if parameter.grad is not None:
                    scale_of = reference.grad.abs().max()
                    error = (parameter.grad - reference.grad).abs().max() / scale_of.clamp_min(1e-6)
                    assert error < 1e-4, f"{name}: {error:.1e}"


def test_every_parameter_of_the_used_scale_learns_and_no_other() -> None:
    bpn = network(9)
    bpn(0, "single", *render()).mask.sum().backward()
    learning = {name for name, p in bpn.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {"embedding.weight", "second.layers.0.weight", "second.layers.1.weight"} <= learning
    assert not any(name.startswith("scales") for name in learning)


def test_render_and_depth_get_no_gradient_through_the_network() -> None:
    rgb, depth = (x.requires_grad_() for x in render())
    proposal = network()(0, 0, rgb, depth)
    (proposal.features.sum() + proposal.mask.sum()).backward()
    assert rgb.grad is None and depth.grad is None


def test_constant_depth_is_fine() -> None:
    rgb, depth = render()
    proposal = network()(0, 0, rgb, torch.full_like(depth, 3.0))
    assert proposal.features.isfinite().all()


def test_views_differ() -> None:
    bpn = network()
    assert not torch.equal(bpn(0, 0, *render()).mask, bpn(1, 0, *render()).mask)


def test_bfloat16_is_close_and_leaves_parameters_alone() -> None:
    exact, rounded = network(), network(bfloat16=True)
    image = torch.rand(3, HEIGHT + 4, WIDTH + 4)
    a, b = (bpn(0, 1, *render()) for bpn in (exact, rounded))
    assert b.features.dtype == torch.bfloat16 and b.mask.dtype == torch.float32
    error = (a.features - b.features).norm() / a.features.norm()
    assert 0 < error < 0.02, error
    assert (a.blur(image) - b.blur(image)).abs().max() < 0.02
    b.blur(image).sum().backward()
    assert all(p.dtype == torch.float32 for p in rounded.parameters())


def test_without_mask_every_pixel_is_blurred_by_its_kernel(subtests: pytest.Subtests) -> None:
    for scale in [0, 2, "single"]:
        with subtests.test(scale=scale):
            bpn = network(9, use_mask=False)
            proposal = bpn(0, scale, *render())
            assert torch.equal(proposal.mask, torch.ones(HEIGHT, WIDTH)) and not proposal.mask.requires_grad
            assert not any("mask" in name for name, _ in bpn.named_parameters())
            reach = proposal.kernel_size // 2
            image = torch.rand(3, HEIGHT + 2 * reach, WIDTH + 2 * reach)
            expected = per_pixel_conv_reference(image, proposal.features, proposal.head, torch.ones(HEIGHT, WIDTH))
            torch.testing.assert_close(proposal.blur(image), expected, rtol=0, atol=1e-5)  # worst seen 1e-6


def test_second_network_must_exist() -> None:
    with pytest.raises(ValueError, match="second_network"):
        network()(0, "single", *render())


def test_window_gets_the_positional_code_of_the_whole_photo() -> None:
    bpn = network(use_rgbd=False)
    whole = bpn(0, 1, *render())
    camera = Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, WIDTH, HEIGHT).cropped(7, 4, 10, 9)
    rgb, depth = render()
    part = bpn(0, 1, rgb[:, 4:13, 7:17], depth[4:13, 7:17], camera)
    torch.testing.assert_close(part.features, whole.features[:, 4:13, 7:17])
    torch.testing.assert_close(part.mask, whole.mask[4:13, 7:17])


def cells(image: Tensor, side: int) -> Tensor:
    """(C, h, w) means over cells of ``side`` x ``side`` pixels, those at the border as far as they go."""
    rows, columns = range(0, image.shape[1], side), range(0, image.shape[2], side)
    means = [image[:, y : y + side, x : x + side].mean(dim=(1, 2)) for y in rows for x in columns]
    return torch.stack(means, dim=1).unflatten(1, (len(rows), len(columns)))


@pytest.mark.parametrize(("nodes", "rgbd"), [(2, 2), (2, 4), (4, 4), (4, 8)])
def test_on_cells_the_network_sees_means_and_what_it_says_is_interpolated(nodes: int, rgbd: int) -> None:
    """Features are those that a network at every pixel has of averaged inputs; the mask's logits lie between nodes."""
    bpn = network(kernel_spacing=nodes, rgbd_spacing=rgbd)
    rgb, depth = render()
    proposal = bpn(1, 1, rgb, depth)
    rows, columns = -(-HEIGHT // nodes), -(-WIDTH // nodes)
    assert proposal.features.shape == (64, rows, columns) and proposal.mask.shape == (HEIGHT, WIDTH)

    depth = depth - depth.min()
    seen, cnn = cells(torch.cat([rgb, (depth / depth.max())[None]]), rgbd)[None], bpn.render_features
    assert cnn is not None
    seen = instance_norm(conv2d(seen, cnn.conv1.weight, cnn.conv1.bias, padding=2).relu())
    seen = instance_norm(conv2d(seen, cnn.conv2.weight, cnn.conv2.bias, padding=2).relu())
    seen = conv2d(seen, cnn.conv3.weight, cnn.conv3.bias, padding=1)
    if rgbd > nodes:
        seen = interpolate(seen, scale_factor=rgbd // nodes, mode="bilinear")[..., :rows, :columns]
    code = cells(positional_code_2d(HEIGHT, WIDTH), nodes)
    view = bpn.embedding(torch.tensor(1))[:, None, None].expand(-1, rows, columns)
    hidden = torch.cat([view, code, seen[0]])
    for layer in bpn.scales.layers[:2]:
        hidden = torch.einsum("oi,iyx->oyx", layer.weight, hidden).relu()
    logits = torch.einsum("oi,iyx->oyx", bpn.scales.mask_heads["1"].weight, hidden)
    mask = interpolate(logits[None], scale_factor=nodes, mode="bilinear")[0, 0, :HEIGHT, :WIDTH].sigmoid()
    torch.testing.assert_close(proposal.features, hidden, rtol=0, atol=2e-5)  # worst seen 1e-6
    torch.testing.assert_close(proposal.mask, mask, rtol=0, atol=1e-5)

    image = torch.rand(3, HEIGHT + 4, WIDTH + 4)
    kernels = node_kernels(hidden, proposal.head)
    expected = interpolated_conv_reference(image, kernels, mask, nodes)
    torch.testing.assert_close(proposal.blur(image), expected, rtol=0, atol=2e-5)
    pixels = torch.tensor([0, 7, HEIGHT - 1]), torch.tensor([3, WIDTH - 1, 11])
    every = interpolate(kernels[None], scale_factor=nodes, mode="bilinear")[0, :, :HEIGHT, :WIDTH]
    torch.testing.assert_close(proposal.kernels_at(*pixels).flatten(1), every[:, pixels[0], pixels[1]].T)


def test_moments_of_interpolated_kernels_are_those_of_the_kernels_at_every_pixel() -> None:
    proposal = network(kernel_spacing=4, rgbd_spacing=4)(0, 2, *render())
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    kernels = proposal.kernels_at(rows.reshape(-1), columns.reshape(-1))
    offsets = torch.arange(7.0) - 3
    x = (kernels * offsets).sum(dim=(1, 2)).view(HEIGHT, WIDTH) * proposal.mask
    xx = (kernels * offsets**2).sum(dim=(1, 2)).view(HEIGHT, WIDTH) * proposal.mask
    mean, covariance = proposal.moments()
    torch.testing.assert_close(mean[0], x, rtol=0, atol=1e-5)
    torch.testing.assert_close(covariance[0], xx - x**2, rtol=0, atol=1e-4)
    some_mean, some_covariance = proposal.moments(every=3)
    torch.testing.assert_close(some_mean, mean[:, ::3, ::3])
    torch.testing.assert_close(some_covariance, covariance[:, ::3, ::3])


def test_gradients_reach_every_parameter_of_a_network_on_cells() -> None:
    bpn = network(kernel_spacing=4, rgbd_spacing=8)
    bpn(1, 2, *render()).blur(torch.rand(3, HEIGHT + 6, WIDTH + 6)).square().sum().backward()
    unused = {name for name, p in bpn.named_parameters() if p.grad is None}
    assert all(".0." in name or ".1." in name for name in unused), unused
    assert all(p.grad.isfinite().all() for p in bpn.parameters() if p.grad is not None)


def test_a_view_of_one_cell_has_features_that_say_nothing() -> None:
    """Normalised, a single value is zero: what is left is the last layer's bias."""
    bpn = network(kernel_spacing=4, rgbd_spacing=8)
    assert bpn.render_features is not None
    features = bpn.render_features(torch.rand(3, 5, 7), torch.rand(5, 7))
    torch.testing.assert_close(features[:, 0, 0], bpn.render_features.conv3.bias)
    assert bpn(0, 0, torch.rand(3, 5, 7), torch.rand(5, 7)).mask.shape == (5, 7)


def test_in_linear_light_black_and_white_make_the_srgb_value_of_their_mean_light() -> None:
    even = Proposal(torch.zeros(1, 1, 1), torch.zeros(9, 1), torch.ones(1, 1))  # a kernel of nine equal weights
    image = torch.tensor([0.0, 1, 0, 1, 0, 1, 0, 1, 0]).reshape(1, 3, 3).expand(3, -1, -1)
    torch.testing.assert_close(even.blur(image), torch.full((3, 1, 1), 4 / 9))
    light = torch.full((3, 1, 1), 1.055 * (4 / 9) ** (1 / 2.4) - 0.055)
    torch.testing.assert_close(even.blur(image, linear_light=True), light)


def test_a_bias_moves_every_logit_of_the_mask(subtests: pytest.Subtests) -> None:
    """Without evidence, when the mask's head says nothing, a bias below 0 begins with "sharp"."""
    for spacing, bias in product([1, 4], [-3.0, 1.5]):
        with subtests.test(spacing=spacing, bias=bias):
            cells = {"kernel_spacing": spacing, "rgbd_spacing": spacing}
            plain, biased = network(**cells), network(**cells, mask_bias=bias)
            for scale in range(3):
                masks = [bpn(1, scale, *render()).mask.double() for bpn in (plain, biased)]
                torch.testing.assert_close(masks[1].logit(), masks[0].logit() + bias, rtol=0, atol=1e-4)
                torch.nn.init.zeros_(biased.scales.mask_heads[str(scale)].weight)
                expected = torch.full((HEIGHT, WIDTH), 1 / (1 + math.exp(-bias)))
                torch.testing.assert_close(biased(1, scale, *render()).mask, expected)
                assert bool((expected < 0.5).all()) == (bias < 0)
