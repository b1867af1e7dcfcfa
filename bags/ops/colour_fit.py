"""One picture in the colours of another."""

from __future__ import annotations

import torch
from torch import Tensor


def in_colours_of(photo: Tensor, render: Tensor, counts: Tensor | None = None) -> Tensor:
    """(3, H, W) in [0, 1]: ``render`` in the colours of ``photo``, both (3, H, W) sRGB values in [0, 1].

    The affine map of the colours (3 x 4 numbers) with the least squared error, then clamped. RawNeRF (Mildenhall et
    al. 2022) fits each channel by itself, and multinerf's ``color_correct`` adds quadratic terms and leaves saturated
    pixels out, so figures after one fit cannot be compared with figures after another. The error is never larger than
    before: the identity is one of the maps, and the photo lies in [0, 1].

    Args:
        photo: to match.
        render: to change.
        counts: (H, W) bool, the pixels that are fitted; None: all.
    """
    colours, wanted = (image.flatten(1).double() for image in (render, photo))
    affine = torch.cat([colours, torch.ones_like(colours[:1])])
    weights = affine if counts is None else affine * counts.flatten()
    # The pseudo-inverse also serves a render of a single colour, which leaves the map undetermined.
    fit = wanted @ weights.T @ torch.linalg.pinv(weights @ affine.T, hermitian=True)
    return (fit @ affine).clamp(0, 1).reshape(render.shape).to(render)
