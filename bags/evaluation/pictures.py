"""Pictures of kernels, and of a whole training view."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bags.modules.bags_module import Explanation
from bags.modules.blur_model import Blur

COLUMNS = 12  # kernels across a sheet
PICTURES = ("photo", "sharp", "prediction", "mask", "kernels")  # of a view whose blur is modelled; not all have a mask


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of a regular grid of pixels, ``COLUMNS`` wide with square cells."""
    step = width / COLUMNS
    rows = ((torch.arange(max(1, round(height / step))) + 0.5) * step).long().clamp(max=height - 1)
    columns = ((torch.arange(COLUMNS) + 0.5) * step).long().clamp(max=width - 1)
    return rows, columns


def effective_kernels(proposal: Blur, rows: Tensor, columns: Tensor) -> Tensor:
    """(P, K, K) effective kernels ``m w + (1 - m) delta`` at chosen pixels."""
    kernels = proposal.kernels_at(rows, columns)
    mask = proposal.mask[rows, columns][:, None, None]
    effective = mask * kernels
    middle = proposal.kernel_size // 2
    effective[:, middle, middle] += 1 - mask[:, 0, 0]
    return effective


@torch.no_grad()
def kernel_sheet(proposal: Blur) -> Tensor:
    """(3, h, w) picture in [0, 1], about the photo's size: kernels of a grid of pixels, each scaled to its maximum."""
    rows, columns = _grid(*proposal.mask.shape)
    ys, xs = torch.meshgrid(rows, columns, indexing="ij")
    kernels = effective_kernels(proposal, ys.reshape(-1), xs.reshape(-1))
    kernels = kernels / kernels.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    side = max(proposal.kernel_size, proposal.mask.shape[1] // COLUMNS - 1)
    cells = torch.full((len(kernels), side + 1, side + 1), 0.25)  # a grey line divides them
    cells[:, 1:, 1:] = interpolate(kernels[:, None].cpu(), size=(side, side), mode="nearest")[:, 0]
    sheet = cells.reshape(len(rows), len(columns), side + 1, side + 1).permute(0, 2, 1, 3)
    return sheet.reshape(1, len(rows) * (side + 1), len(columns) * (side + 1)).expand(3, -1, -1)


@torch.no_grad()
def view_pictures(output: Explanation) -> dict[str, Tensor]:
    """The pictures of one training view.

    Returns:
        Pictures (3, h, w) in [0, 1] on the CPU: ``photo``, ``sharp`` (render), ``prediction`` (blurry) and, if blur is
        modelled, ``kernels``; before them ``mask``, if the model has one.
    """
    images = {"photo": output.batch.image, "sharp": output.sharp, "prediction": output.prediction}
    if output.proposal is not None:
        if output.proposal.has_mask:
            images["mask"] = output.proposal.mask.expand(3, -1, -1)
        images["kernels"] = kernel_sheet(output.proposal)
    return {kind: image.detach().clamp(0, 1).cpu() for kind, image in images.items()}
