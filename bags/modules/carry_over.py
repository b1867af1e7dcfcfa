"""A scale's head begins where that of the scale before stands, instead of from random weights.

Beyond the published method (``model.bpn.carry_over``; docs/full_resolution.md has why, and what is known of its use).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bags.modules.bpn import BPN


@torch.no_grad()
def carry_over(bpn: BPN, before: int, after: int, ratio: float, optimizer: Optimizer) -> None:
    """Let scale ``after`` propose what scale ``before`` does, in place.

    The layers between become the identity, which changes nothing: what they see has passed a ReLU. The mask head is
    copied. So are the kernel head's logits where the taps are at the same places; elsewhere they are interpolated.
    Adam's moments go with what is copied; whatever else begins, begins without any.

    Args:
        bpn: edited.
        before: scale whose head has been trained.
        after: scale whose head begins, ``after > before``.
        ratio: distance between two taps of ``after`` over that of ``before``, both as parts of the photo.
        optimizer: its state is edited along.
    """
    network = bpn.scales
    for layer in network.layers[before + 1 : after + 1]:
        weight = _weight(layer)
        weight.copy_(torch.eye(*weight.shape))
        optimizer.state.pop(weight, None)
    if str(before) in network.mask_heads:
        _copy(_weight(network.mask_heads[str(before)]), _weight(network.mask_heads[str(after)]), optimizer)
    old, new = _weight(network.kernel_heads[str(before)]), _weight(network.kernel_heads[str(after)])
    taps = resampling(math.isqrt(len(old)), math.isqrt(len(new)), ratio)
    if torch.equal(taps, torch.eye(*taps.shape)):
        _copy(old, new, optimizer)
    else:
        new.copy_(taps.to(old) @ old)
        optimizer.state.pop(new, None)


def resampling(old: int, new: int, ratio: float) -> Tensor:
    """(new^2, old^2) matrix that interpolates the logits of old x old taps bilinearly at new x new places.

    Both grids have the same middle and the order of ``bags.ops.per_pixel_conv``. Taps beyond the old grid take the
    logits of its border. The identity where the grids are the same.

    Args:
        old: side of the kernels there are, odd.
        new: side of the kernels wanted, odd.
        ratio: distance between two new taps over that between two old ones.
    """
    places = ((torch.arange(new) - new // 2) * ratio + old // 2).clamp(0, old - 1)
    row = (1 - (places[:, None] - torch.arange(old)).abs()).clamp_min(0)
    return torch.kron(row, row)


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight


def _copy(old: Tensor, new: Tensor, optimizer: Optimizer) -> None:
    """Values and Adam's state, where there is any."""
    new.copy_(old)
    state = optimizer.state.get(old)
    optimizer.state.pop(new, None)
    if state:
        optimizer.state[new] = {key: value.clone() for key, value in state.items()}
