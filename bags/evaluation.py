"""Judging a trained scene: test views by the metrics, training views by what the network says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.datamodules.view_loader import view_at
from bags.io.images import depth_picture, tile, write_png
from bags.modules.bags_module import BagsModule
from bags.modules.blur_estimate import estimate_blur
from bags.modules.metrics import PROTOCOLS, ImageMetrics, mean_metrics
from bags.ops.psnr import psnr
from bags.pictures import view_pictures
from bags.settings import MetricsSettings
from bags.types import ViewBatch

OVERVIEW_ROWS = 4


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
        settings: the protocol whose figures come first, and whether LPIPS is computed.
        folder: write ``render``, ``ground_truth`` and ``depth`` pictures here; None: write nothing.

    Returns:
        ``psnr``, ``ssim``, ``lpips`` (means over the images, null where there are none) and ``per_view`` of
        ``protocol``; the same of every protocol in ``protocols``.
    """
    judges = {protocol: ImageMetrics(replace(settings, protocol=protocol)) for protocol in PROTOCOLS}
    found: dict[str, list[dict[str, Any]]] = {protocol: [] for protocol in PROTOCOLS}
    for view in views:
        view = view.to(module.device)
        render = module.render(view.camera)
        for protocol, judge in judges.items():
            found[protocol].append({"name": view.name, **judge(render.rgb, view.image)})
        if folder is not None:
            write_png(folder / "render" / f"{stem(view.name)}.png", render.rgb)
            write_png(folder / "ground_truth" / f"{stem(view.name)}.png", view.image)
            write_png(folder / "depth" / f"{stem(view.name)}.png", depth_picture(render.depth, render.alpha))
    protocols = {name: {**mean_metrics(per_view), "per_view": per_view} for name, per_view in found.items()}
    return {**protocols[settings.protocol], "protocol": settings.protocol, "protocols": protocols}


@torch.no_grad()
def describe_training_views(
    module: BagsModule, datamodule: SceneDataModule, folder: Path | None = None, limit: int | None = None
) -> dict[str, Any]:
    """What the model makes of every training view, at full training resolution and with the last step's networks.

    Args:
        module: trained.
        datamodule: of the run.
        folder: write ``photo``, ``prediction``, ``sharp``, ``mask`` and ``kernels`` pictures here, and beside it
            ``overview.png`` of the most blurred views.
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
        batch = batch.to(module.device)
        output = module.explain_whole(batch, phase)
        entry: dict[str, Any] = {"name": batch.name, "psnr": psnr(output.prediction.clamp(0, 1), batch.image)}
        if output.proposal is not None:
            entry |= asdict(estimate_blur(output.proposal, output.sharp))
        if (truth := views[batch.index].blur) is not None:
            entry["true_blur"] = asdict(truth)
        described.append(entry)
        if folder is not None and batch.index in chosen:
            for kind, picture in view_pictures(output).items():
                write_png(folder / kind / f"{stem(batch.name)}.png", picture)
    if folder is not None and module.bpn is not None:
        write_png(
            folder.parent / "overview.png", overview(module, datamodule, [entry["spread"] for entry in described])
        )
    return {"train_views": described, **rank_correlation(described)}


def overview(module: BagsModule, datamodule: SceneDataModule, spreads: Sequence[float]) -> Tensor:
    """(3, h, w) in [0, 1]: everything there is to see of the most blurred views, a view a row."""
    schedule = module.schedule
    worst = sorted(range(len(spreads)), key=lambda index: -spreads[index])[:OVERVIEW_ROWS]
    images, labels = [], []
    for index in worst:
        batch = view_at(datamodule.train, index, schedule.finest).to(module.device)
        row = view_pictures(module.explain_whole(batch, schedule.at(schedule.total)))
        images += list(row.values())
        labels += [f"{kind} {batch.name}" if kind == "photo" else kind for kind in row]
    return tile(images, columns=len(images) // len(worst), labels=labels)


def rank_correlation(described: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Spearman's correlation of the estimated with the true blur, where the truth is known and not all the same."""
    if not all("true_blur" in entry and "spread" in entry for entry in described):
        return {}
    truths = [entry["true_blur"]["amount"] for entry in described]
    if len(set(truths)) < 2:
        return {}
    return {"blur_rank_correlation": float(spearmanr(truths, [entry["spread"] for entry in described]).statistic)}


def spread_out(count: int, limit: int) -> set[int]:
    """At most ``limit`` indices below ``count``, evenly spread."""
    if limit == 0:
        return set()
    return {round(i * (count - 1) / max(1, min(limit, count) - 1)) for i in range(min(limit, count))}
