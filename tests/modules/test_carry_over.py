"""A scale's head that goes on from the one before: the same proposal, the same blur of the photo, Adam's moments."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from bags.modules.bpn import BPN, Proposal
from bags.modules.carry_over import carry_over, resampling
from bags.ops.kernel_moments import effective_moments, raw_moments
from bags.settings import BPNSettings
from bags.types import Camera

ADAM = {"lr": 1e-2, "eps": 1e-15}


def network(kernels: tuple[int, ...], **switches: bool) -> BPN:
    torch.manual_seed(5)
    return BPN(2, kernels, None, BPNSettings(kernels=kernels, **switches))


def trained(bpn: BPN, scale: int) -> torch.optim.Optimizer:
    """Some steps with the head of ``scale``, so that its weights and moments are no longer those of the start."""
    optimizer = torch.optim.Adam(bpn.parameters(), **ADAM)
    for step in range(3):
        optimizer.zero_grad()
        proposal = propose(bpn, scale, seed=step)
        edge = 2 * (proposal.reach,)
        image = pad(torch.rand(3, *proposal.mask.shape), edge + edge)
        (proposal.blur(image).square().mean() + proposal.mask.mean()).backward()
        optimizer.step()
    return optimizer


def propose(bpn: BPN, scale: int, seed: int = 0) -> Proposal:
    generator = torch.Generator().manual_seed(seed)
    return bpn(1, scale, torch.rand(3, 18, 24, generator=generator), 1 + torch.rand(18, 24, generator=generator))


def test_where_taps_are_the_same_the_proposal_is_the_same_bit_for_bit(subtests: pytest.Subtests) -> None:
    for bfloat16, (before, after) in product([False, True], [(0, 1), (1, 2), (0, 2)]):
        with subtests.test(bfloat16=bfloat16, before=before, after=after):
            bpn = network((5, 5, 5), bfloat16=bfloat16)
            optimizer = trained(bpn, before)
            expected, random = propose(bpn, before), propose(bpn, after)
            random_head = random.head.clone()
            carry_over(bpn, before, after, 1.0, optimizer)
            found = propose(bpn, after)
            assert torch.equal(found.features, expected.features)
            assert torch.equal(found.mask, expected.mask) and not torch.equal(random.mask, expected.mask)
            assert torch.equal(found.head, expected.head) and not torch.equal(random_head, expected.head)


def test_moments_are_copied_with_weights_and_reset_elsewhere() -> None:
    bpn = network((5, 5, 7))
    optimizer = trained(bpn, 0)
    carry_over(bpn, 0, 1, 1.0, optimizer)
    for heads in (bpn.scales.kernel_heads, bpn.scales.mask_heads):
        old, new = optimizer.state[heads["0"].weight], optimizer.state[heads["1"].weight]
        assert old.keys() == new.keys() and old["exp_avg"].abs().sum() > 0
        for key in old:
            assert torch.equal(old[key], new[key]) and old[key].data_ptr() != new[key].data_ptr()
    assert bpn.scales.layers[1].weight not in optimizer.state
    trained_on = {name: weight.clone() for name, weight in bpn.named_parameters()}
    propose(bpn, 1).mask.mean().backward()
    optimizer.step()
    moved = {name for name, weight in bpn.named_parameters() if not torch.equal(weight, trained_on[name])}
    assert {
        "scales.layers.1.weight",
        "scales.mask_heads.1.weight",
    } <= moved and "scales.mask_heads.2.weight" not in moved
    carry_over(bpn, 1, 2, 0.5, optimizer)
    assert bpn.scales.kernel_heads["2"].weight not in optimizer.state  # its logits are interpolated
    assert optimizer.state[bpn.scales.mask_heads["2"].weight]["step"] == 4


def test_without_mask_heads_the_kernels_go_over() -> None:
    bpn = network((3, 3), use_mask=False)
    optimizer = trained(bpn, 0)
    carry_over(bpn, 0, 1, 1.0, optimizer)
    assert torch.equal(propose(bpn, 1).head, propose(bpn, 0).head)


def test_logits_are_interpolated_between_taps_and_held_beyond_them() -> None:
    assert torch.equal(resampling(5, 5, 1.0), torch.eye(25))
    logits = torch.arange(3.0)[:, None] + 10 * torch.arange(3.0)  # of row and column
    finer = (resampling(3, 5, 0.5) @ logits.flatten()).reshape(5, 5)
    whole = interpolate(logits[None, None], size=(5, 5), mode="bilinear", align_corners=True)[0, 0]
    torch.testing.assert_close(finer, whole, rtol=0, atol=1e-5)
    wider = (resampling(3, 7, 1.0) @ logits.flatten()).reshape(7, 7)
    assert torch.equal(wider, pad(logits[None], (2, 2, 2, 2), mode="replicate")[0])


@pytest.mark.parametrize(("old", "new"), [(5, 9), (9, 17)])
def test_finer_taps_mean_about_the_same_blur_of_the_photo(old: int, new: int) -> None:
    """The published sides double their number of taps from scale to scale: their reach in the photo is the same."""
    generator = torch.Generator().manual_seed(0)
    place = torch.arange(old) - old // 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    along = torch.rand(6, 1, 1, generator=generator) * 3.1
    bent = (x * along.cos() + y * along.sin()) ** 2 / (old / 4) ** 2 + (y * along.cos() - x * along.sin()) ** 2
    head = -0.5 * bent.reshape(6, -1).T  # six streaks, one for each feature
    features, mask = torch.eye(6).reshape(6, 1, 6), torch.full((1, 6), 0.8)
    mean, spread = effective_moments(raw_moments(features, head), mask)
    finer_mean, finer_spread = effective_moments(raw_moments(features, resampling(old, new, 0.5) @ head), mask)
    torch.testing.assert_close(finer_mean / 2, mean, rtol=0, atol=1e-5)
    torch.testing.assert_close(finer_spread / 4, spread, rtol=0.1, atol=0.2)  # in coarse pixels squared


def smooth_picture(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(2))
    return interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)[0]


def test_taps_four_pixels_apart_blur_the_photo_as_those_of_a_quarter_of_its_size_do() -> None:
    """Kernels 7 at 1/4, then the same proposal enlarged: 7 with stride 4 at full size."""
    bpn = network((7,))
    trained(bpn, 0)
    sharp = smooth_picture(128, 192)
    small = avg_pool2d(sharp, 4)
    coarse = bpn(0, 0, small, small[0])
    fine = coarse.enlarged(4, Camera(torch.eye(3), torch.zeros(3), 100.0, 100.0, 192, 128))
    assert (fine.reach, fine.mask.shape) == (14, (128, 192))
    blurred, finer = (p.blur(pad(im, (p.reach,) * 4)) for p, im in ((coarse, small), (fine, sharp)))
    inner = (..., slice(4, -4), slice(4, -4))  # away from the borders, where what is padded differs
    seen, error = (blurred - small)[inner].std(), (avg_pool2d(finer, 4) - blurred)[inner].std()
    assert error < seen / 5  # worst seen 1/11
