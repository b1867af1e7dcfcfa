"""Start a scale's head from the trained head of the scale before, instead of from random weights.

An extension of the published method (``model.bpn.carry_over``); docs/full_resolution.md gives the reasons and results.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bags.modules.bpn import BPN


@torch.no_grad()
def carry_over(bpn: BPN, before: int, after: int, ratio: float, optimizer: Optimizer) -> None:
    """Let scale ``after`` propose the same blur as scale ``before``, in place.

    The layers between become the identity, which changes nothing because their input has passed a ReLU. The mask head
    is copied. The kernel head is copied where the taps are at the same places, and interpolated otherwise. Adam's
    moments are copied with the weights; the other new weights start without moments.

    Args:
        bpn: network to edit.
        before: scale whose head has been trained.
        after: scale whose head is about to start, ``after > before``.
        ratio: distance between taps of ``after`` over that of ``before``, both relative to the photo.
        optimizer: its state is edited accordingly.
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

    Both grids have the same centre and the order of ``bags.ops.per_pixel_conv``. Taps beyond the old grid take the
    logits of its border. It is the identity if the grids are the same.

    Args:
        old: side of the existing kernels, odd.
        new: side of the new kernels, odd.
        ratio: distance between new taps over that between old ones.
    """
    places = ((torch.arange(new) - new // 2) * ratio + old // 2).clamp(0, old - 1)
    row = (1 - (places[:, None] - torch.arange(old)).abs()).clamp_min(0)
    return torch.kron(row, row)


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight


def _copy(old: Tensor, new: Tensor, optimizer: Optimizer) -> None:
    """Copy the values, and Adam's state if there is any."""
    new.copy_(old)
    state = optimizer.state.get(old)
    optimizer.state.pop(new, None)
    if state:
        optimizer.state[new] = {key: value.clone() for key, value in state.items()}
