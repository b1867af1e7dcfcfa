"""Evaluation of a trained scene: metrics of test views, estimated blur of training views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from math import log2
from pathlib import Path
from statistics import median
from typing import Any

import torch
from scipy.stats import spearmanr

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.datamodules.view_loader import view_at
from bags.evaluation.pictures import view_pictures
from bags.io.images import depth_picture, write_png
from bags.modules.bags_module import BagsModule
from bags.modules.blur_estimate import estimate_blur
from bags.modules.metrics import CORRECTED, PROTOCOLS, ImageMetrics, mean_metrics
from bags.ops.colour_fit import in_colours_of
from bags.ops.psnr import psnr
from bags.ops.sharpness import laplacian_variance
from bags.settings import MetricsSettings
from bags.types import ViewBatch

STREAK = 3.0  # pixels of motion below which its direction is not compared
PIXEL = (1 / 6) ** 0.5  # root mean square spread of a pixel itself, in pixels


def stem(name: str) -> str:
    """File name of a view's pictures: the view's name without folder separators and extension."""
    return str(Path(name).with_suffix("")).replace("/", "_")


@torch.no_grad()
def judge_test_views(
    module: BagsModule, views: Iterable[ViewBatch], settings: MetricsSettings, folder: Path | None = None
) -> dict[str, Any]:
    """Render every test view sharp and compare it with its photo.

    Args:
        module: trained.
        views: test views at full training resolution.
        settings: the main protocol, and what else is computed.
        folder: write ``render``, ``ground_truth`` and ``depth`` pictures here; None: write nothing.

    Returns:
        ``psnr``, ``ssim``, ``lpips`` (means over the images, None if there are none) and ``per_view`` of ``protocol``;
        the same for every protocol in ``protocols``. With ``settings.colour_corrected``, also those of ``CORRECTED``.
    """
    automatic = settings.colour_corrected == "auto"
    corrected = module.corrections is not None if automatic else bool(settings.colour_corrected)
    judges = {protocol: ImageMetrics(replace(settings, protocol=protocol)) for protocol in PROTOCOLS}
    found: dict[str, list[dict[str, Any]]] = {protocol: [] for protocol in PROTOCOLS}
    for view in views:
        view = view.to(module.device)
        render = module.render(view.camera)
        matched = in_colours_of(view.image, render.rgb.clamp(0, 1), view.counts) if corrected else None
        for protocol, judge in judges.items():
            figures: dict[str, Any] = {"name": view.name, **judge(render.rgb, view.image, view.counts)}
            if matched is not None:
                after = judge(matched, view.image, view.counts)
                figures |= {CORRECTED[name]: value for name, value in after.items()}
            found[protocol].append(figures)
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
    """Describe how the model explains training views, at full training resolution and in the phase of the last step.

    Args:
        module: trained.
        datamodule: of the run.
        folder: write ``depth`` pictures and those of ``view_pictures`` here.
        limit: largest number of views, evenly spread over the list, because large photos take long; None: all.

    Returns:
        ``train_views``: for each its ``name``, ``psnr`` of the prediction against the photo, and ``sharpness`` of the
        photo and of the sharp render (``laplacian_variance``). With ``model.exposure``, also its ``exposure`` in stops
        against the scene's. If the blur model describes its blur, also the fields of ``BlurEstimate`` and the view's
        ``rank``, 1 for the least blurred. If the truth is known, also ``true_exposure`` and ``true_blur`` (its
        attributes), and beside ``train_views`` the agreement of the estimates with it (``agreement``).
    """
    phase = module.schedule.at(module.schedule.total)
    views = datamodule.scene.train
    described = []
    for index in spread_out(len(views), limit):
        batch = view_at(datamodule.train, index, module.schedule.finest).to(module.device)
        output = module.explain_whole(batch, phase)
        entry: dict[str, Any] = {
            "name": batch.name,
            "psnr": psnr(output.prediction.clamp(0, 1), batch.image, batch.counts),
            "sharpness": [laplacian_variance(picture) for picture in (batch.image, output.sharp.clamp(0, 1))],
        }
        if module.corrections is not None:
            entry["exposure"] = module.corrections.stops(index)
        if (gain := views[index].gain) is not None:
            entry["true_exposure"] = log2(gain)
        if output.proposal is not None:
            entry |= asdict(estimate_blur(output.proposal, output.sharp, output.depth))
        if (truth := views[index].blur) is not None:
            entry["true_blur"] = asdict(truth)
        described.append(entry)
        if folder is not None:
            pictures = {**view_pictures(output), "depth": depth_picture(output.depth, output.alpha)}
            for kind, picture in pictures.items():
                write_png(folder / kind / f"{stem(batch.name)}.png", picture)
    ranked = sorted((entry for entry in described if "spread" in entry), key=lambda entry: entry["spread"])
    for rank, entry in enumerate(ranked, start=1):
        entry["rank"] = rank
    return {"train_views": described, **agreement(described)}


def quality_table(described: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of ``views.csv`` (docs/report.md): ``train_views``, the least blurred first; None for unknown values."""
    rows = []
    for entry in sorted(described, key=lambda entry: entry.get("rank", 0)):
        truth = entry.get("true_blur", {})
        row = {"rank": entry.get("rank"), "name": entry["name"], "kind": entry.get("kind")}
        row |= {"amount": entry.get("spread")} | {key: entry.get(key) for key in ("length", "direction", "radius")}
        row |= {"mask": entry.get("mask"), "psnr": entry["psnr"]}
        row |= dict(zip(("sharpness_photo", "sharpness_render"), entry["sharpness"], strict=True))
        row |= {key: entry.get(key) for key in ("exposure", "true_exposure")}
        row |= {f"true_{key}": truth.get(key) for key in ("kind", "amount", "length", "direction")}
        rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def agreement(described: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How well the estimates agree with the true blur; empty if that is unknown.

    Returns:
        ``blur_rank_correlation``: Spearman's, of ``spread`` and the true amount, unless one of them is constant;
        ``blur_kind_share``: share of views with the right kind, where a true blur narrower than a pixel (``PIXEL``) may
        also be classified as sharp; ``blur_direction_error``: median in degrees over the views with streaks longer than
        ``STREAK`` pixels, if there are any.
    """
    if not described or not all("true_blur" in entry and "spread" in entry for entry in described):
        return {}
    pairs = [(entry, entry["true_blur"]) for entry in described]
    right = [
        entry["kind"] == truth["kind"] or (entry["kind"] == "sharp" and truth["amount"] < PIXEL)
        for entry, truth in pairs
    ]
    found = {"blur_kind_share": sum(right) / len(right)}
    spreads, amounts = zip(*((entry["spread"], truth["amount"]) for entry, truth in pairs), strict=True)
    if len(set(spreads)) > 1 and len(set(amounts)) > 1:
        found["blur_rank_correlation"] = float(spearmanr(amounts, spreads).statistic)
    turns = [
        abs((entry["direction"] - truth["direction"] + 90) % 180 - 90)
        for entry, truth in pairs
        if truth["length"] > STREAK
    ]
    if turns:
        found["blur_direction_error"] = median(turns)
    return found


def spread_out(count: int, limit: int | None) -> list[int]:
    """At most ``limit`` indices below ``count``, evenly spread; None: all."""
    wanted = count if limit is None else min(limit, count)
    return [round(i * (count - 1) / max(1, wanted - 1)) for i in range(wanted)]
