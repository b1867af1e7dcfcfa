"""Total variation (docs/method.md section 4)."""

from __future__ import annotations

from torch import Tensor


def total_variation(image: Tensor) -> Tensor:
    """``2 (mean squared row difference + mean squared column difference)``.

    Args:
        image: (C, H, W), H and W at least 2.

    Returns:
        () non-negative.
    """
    rows = image[:, 1:, :] - image[:, :-1, :]
    columns = image[:, :, 1:] - image[:, :, :-1]
    return 2 * (rows.square().mean() + columns.square().mean())
