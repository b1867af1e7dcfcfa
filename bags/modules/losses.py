"""The training loss (docs/method.md section 4)."""

from __future__ import annotations

from torch import Tensor

from bags.modules.gaussians import Gaussians
from bags.ops.depth import normalised
from bags.ops.ssim import l1_ssim
from bags.ops.tv import total_variation
from bags.settings import LossSettings


def training_loss(
    settings: LossSettings,
    prediction: Tensor,
    photo: Tensor,
    mask: Tensor | None,
    sharp: Tensor,
    depth: Tensor,
    blurred: bool,
) -> dict[str, Tensor]:
    """The terms of the loss that look at images, weighted.

    Args:
        settings: weights; a term of weight 0 is left out.
        prediction: (3, H, W) blurry prediction (the sharp render where blur is not modelled).
        photo: (3, H, W).
        mask: (H, W) of the blur model; None: it has none.
        sharp: (3, H, W) sharp render.
        depth: (H, W) its depth; normalised to [0, 1] by its own range for the smoothness term.
        blurred: whether the prediction is blurred, and not by kernels; else ``edges`` is left out: with kernels it
            makes renders sharper than sharp photos.

    Returns:
        ``photo`` (L1 and SSIM), and where they apply ``edges``, ``mask``, ``depth_tv``, ``rgb_tv``.
    """
    terms = {"photo": l1_ssim(prediction, photo, settings.ssim)}
    if blurred and settings.edges > 0:
        terms["edges"] = settings.edges * edge_error(prediction, photo)
    if mask is not None and settings.mask > 0:
        terms["mask"] = settings.mask * mask.mean()
    if settings.depth_tv > 0:
        terms["depth_tv"] = settings.depth_tv * total_variation(normalised(depth)[None])
    if settings.rgb_tv > 0:
        terms["rgb_tv"] = settings.rgb_tv * total_variation(sharp)
    return terms


def edge_error(prediction: Tensor, photo: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbours in a row, plus that between neighbours in a column.

    Blur damps fine detail in a prediction, and with it the gradient that detail receives from L1 and SSIM. Differences
    of neighbours weigh it up again.

    Args:
        prediction: (C, H, W), H and W at least 2.
        photo: of the same shape.

    Returns:
        () non-negative.
    """
    error = prediction - photo
    return (error[:, 1:] - error[:, :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()


def regularisers(settings: LossSettings, gaussians: Gaussians) -> dict[str, Tensor]:
    """The terms of the loss that look at the Gaussians, weighted; a term of weight 0 is left out.

    Returns:
        Where they apply, ``opacity`` and ``scale``: means over all Gaussians, without the 3D filter (Kheradmand et al.,
        NeurIPS 2024; the paper writes sums).
    """
    terms = {}
    if settings.opacity > 0:
        terms["opacity"] = settings.opacity * gaussians.opacities.mean()
    if settings.scale > 0:
        terms["scale"] = settings.scale * gaussians.scales.mean()
    return terms
