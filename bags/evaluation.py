"""Judging a trained scene: test views by the metrics, training views by what the network says of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.io.images import depth_picture, write_png
from bags.modules.bags_module import BagsModule
from bags.modules.blur_estimate import estimate_blur
from bags.modules.metrics import ImageMetrics, mean_metrics
from bags.pictures import kernel_sheet
from bags.settings import MetricsSettings
from bags.types import ViewBatch

log = logging.getLogger(__name__)


def stem(name: str) -> str:
    """File name of a view's pictures: its own, without folder separators and extension."""
    return str(Path(name).with_suffix("")).replace("/", "_")


@torch.no_grad()
def judge_test_views(
    module: BagsModule, views: Iterable[ViewBatch], settings: MetricsSettings, folder: Path | None = None
) -> dict[str, Any]:
    """Render every test view sharp and compare it with its photo.

    Args:
        module: trained.
        views: test views at full training resolution.
        settings: protocol.
        folder: write ``render``, ``ground_truth`` and ``depth`` pictures here; None: write nothing.

    Returns:
        ``psnr``, ``ssim``, ``lpips`` (means over the images, null where there are none), ``protocol``, ``per_view``.
    """
    metrics = ImageMetrics(settings)
    per_view = []
    for view in views:
        render = module.render(view.camera)
        per_view.append({"name": view.name, **metrics(render.rgb, view.image)})
        if folder is not None:
            write_png(folder / "render" / f"{stem(view.name)}.png", render.rgb)
            write_png(folder / "ground_truth" / f"{stem(view.name)}.png", view.image)
            write_png(folder / "depth" / f"{stem(view.name)}.png", depth_picture(render.depth, render.alpha))
    return {**mean_metrics(per_view), "protocol": settings.protocol, "per_view": per_view}


@torch.no_grad()
def describe_training_views(
    module: BagsModule, datamodule: SceneDataModule, folder: Path | None = None, limit: int | None = None
) -> dict[str, Any]:
    """What the model makes of every training view, at full training resolution and with the last step's networks.

    Args:
        module: trained.
        datamodule: of the run.
        folder: write ``photo``, ``prediction``, ``sharp``, ``mask`` and ``kernels`` pictures here.
        limit: pictures of at most this many views, spread over the list; None: of all.

    Returns:
        ``train_views``: for each its ``name``, ``psnr`` of the prediction against the photo and, with a blur model,
        ``mask`` and ``spread`` (see ``BlurEstimate``); where the true blur is known also ``true_blur`` (its
        attributes), and in ``blur_rank_correlation`` Spearman's correlation of ``spread`` with the true amount.
    """
    phase = module.schedule.at(module.schedule.total)
    views = datamodule.scene.train
    chosen = set(range(len(views))) if limit is None else spread_out(len(views), limit)
    described = []
    for batch in datamodule.train_views_dataloader():
        output = module.explain(batch, phase)
        error = (output.prediction.clamp(0, 1) - batch.image).square().mean()
        entry: dict[str, Any] = {"name": batch.name, "psnr": float(-10 * error.clamp_min(1e-10).log10())}
        if output.proposal is not None:
            entry |= asdict(estimate_blur(output.proposal, output.sharp))
        truth = views[batch.index].blur
        if truth is not None:
            entry["true_blur"] = asdict(truth)
        described.append(entry)
        if folder is not None and batch.index in chosen:
            name = f"{stem(batch.name)}.png"
            write_png(folder / "photo" / name, batch.image)
            write_png(folder / "prediction" / name, output.prediction)
            write_png(folder / "sharp" / name, output.sharp)
            if output.proposal is not None:
                write_png(folder / "mask" / name, output.proposal.mask)
                write_png(folder / "kernels" / name, kernel_sheet(output.proposal))
    summary: dict[str, Any] = {"train_views": described}
    if all("true_blur" in entry and "spread" in entry for entry in described):
        truths = [entry["true_blur"]["amount"] for entry in described]
        if len(set(truths)) > 1:
            summary["blur_rank_correlation"] = float(spearmanr(truths, [e["spread"] for e in described]).statistic)
    return summary


def spread_out(count: int, limit: int) -> set[int]:
    """At most ``limit`` indices below ``count``, evenly spread."""
    if limit == 0:
        return set()
    return {round(i * (count - 1) / max(1, min(limit, count) - 1)) for i in range(min(limit, count))}
