"""What keeps Gaussians that are not drawn out of the backward pass of a projection in torch."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from bags.types import Splats


class Gate:
    """Zeroes the gradients of Gaussians that are not drawn, even if their values are non-finite: 0 x infinity is NaN.

    Attributes:
        drawn: (N,) bool, set once it is known.
    """

    drawn: Tensor

    def through(self, splats: Splats) -> Splats:
        """The same values, with a hook on their gradients."""
        return Splats(*(self._watched(getattr(splats, f.name)) for f in fields(splats)))

    def _watched(self, values: Tensor) -> Tensor:
        values = values.view_as(values)
        if values.requires_grad:
            values.register_hook(self._gradient)
        return values

    def _gradient(self, gradient: Tensor) -> Tensor:
        return torch.where(self.drawn.view(-1, *[1] * (gradient.ndim - 1)), gradient, 0)
