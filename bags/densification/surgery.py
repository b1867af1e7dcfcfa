"""Adding and removing Gaussians: parameters, Adam's moments and statistics edited together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bags.modules.gaussians import Gaussians

MOMENTS = ("exp_avg", "exp_avg_sq")


@torch.no_grad()
def rebuild(
    gaussians: Gaussians, optimizer: Optimizer, keep: Tensor, added: Mapping[str, Tensor] | None = None
) -> None:
    """Keep some Gaussians and append others, in place.

    The kept ones keep Adam's moments and their statistics; the appended ones start with zeros. A replaced parameter
    has no gradient, so the optimiser step that follows leaves it alone, as published.

    Args:
        gaussians: edited.
        optimizer: its groups and state are edited along; every parameter is alone in its group.
        keep: (N,) bool mask or (M,) indices of the Gaussians to keep, in this order.
        added: (A, ...) values of every parameter in ``Gaussians.PARAMETERS``; None: nothing is appended.
    """
    count = 0 if added is None else len(added["means"])

    def edited(old: Tensor, new: Tensor | None = None) -> Tensor:
        kept = old[keep]
        tail = old.new_zeros(count, *old.shape[1:]) if new is None else new
        return torch.cat([kept, tail]) if count else kept

    for name in gaussians.PARAMETERS:
        old = getattr(gaussians, name)
        replace_parameter(gaussians, optimizer, name, edited(old.data, None if added is None else added[name]), edited)
    for name in gaussians.BUFFERS:
        setattr(gaussians, name, edited(getattr(gaussians, name)))


def replace_parameter(
    gaussians: Gaussians, optimizer: Optimizer, name: str, values: Tensor, moments: Callable[[Tensor], Tensor]
) -> None:
    """Put ``values`` in place of the parameter ``name``; Adam's moments become ``moments(old moment)``."""
    old = getattr(gaussians, name)
    new = nn.Parameter(values.contiguous())
    setattr(gaussians, name, new)
    for group in optimizer.param_groups:
        if group["params"] and group["params"][0] is old:
            group["params"] = [new]
    state = optimizer.state.pop(old, None)
    if state:
        for key in MOMENTS:
            state[key] = moments(state[key]).contiguous()
        optimizer.state[new] = state


@torch.no_grad()
def reset_opacity(gaussians: Gaussians, optimizer: Optimizer, largest: float) -> None:
    """Set the *filtered* opacity to at most ``largest`` and forget its moments (docs/method.md section 1).

    The unfiltered opacity is divided by the filter's coefficient before the logit; it never grows. Where it is small
    enough already the logit stays itself: that of an opacity that float32 rounds to 1 would come back infinite.
    """
    splats = gaussians.splats()
    raw = gaussians.opacities
    coefficient = splats.opacities / raw.clamp_min(1e-12)
    opacity = largest / coefficient.clamp_min(1e-12)
    logits = torch.where(opacity < raw, opacity.logit(), gaussians.opacity_logits)
    replace_parameter(gaussians, optimizer, "opacity_logits", logits, torch.zeros_like)
