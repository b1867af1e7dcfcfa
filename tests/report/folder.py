"""A run's folder as the report reads it, made up: no training needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bags.evaluation.views import stem
from bags.io.images import write_png
from bags.io.records import write_table

HOSTILE = "<img src=x onerror=alert(1)>\"'&.png"


def made_up(folder: Path, names: list[str], size: tuple[int, int] = (24, 36)) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pictures and history below ``folder``; returns what metrics file and configuration would hold."""
    torch.manual_seed(0)
    for name in names:
        for kind in ("photo", "sharp", "prediction", "mask", "kernels", "depth"):
            write_png(folder / "train_views" / kind / f"{stem(name)}.png", torch.rand(3, *size))
        for kind in ("render", "ground_truth"):
            write_png(folder / "test" / kind / f"{stem(name)}.png", torch.rand(3, *size))
    rows = [
        {"step": 10 * n, "loss": 1 / n, "psnr": 10.0 + n, "gaussians": 100 * n, "divisor": 4 if n < 3 else 1}
        for n in range(1, 6)
    ]
    write_table(folder / "history.csv", rows)
    blurs: list[dict[str, Any]] = [
        {"kind": "sharp", "length": 0.0, "direction": 0.0, "radius": 0.0, "spread": 0.2},
        {"kind": "motion", "length": 8.7, "direction": 140.0, "radius": 0.0, "spread": 2.5},
        {"kind": "defocus", "length": 0.0, "direction": 0.0, "radius": 3.0, "spread": 2.1},
    ]
    views = [
        {"name": name, "psnr": 31.0, "sharpness": [300.0, 900.0], "mask": 0.5, "rank": n + 1, **blurs[n % 3]}
        for n, name in enumerate(names)
    ]
    per_view = [{"name": name, "psnr": 30.0, "ssim": 0.9, "lpips": None} for name in names]
    metrics = {
        "psnr": 30.0, "ssim": 0.9, "lpips": None, "protocol": "deblur_nerf", "per_view": per_view, "steps": 50,
        "train_seconds": 12.0, "num_gaussians": 500, "peak_memory_mb": 800.0, "gpu_memory_mb": None, "scene": "demo",
        "seed": 0, "model": "bags", "left_out": [], "device": "cpu", "versions": {"bags": "0"}, "train_views": views,
    }  # fmt: skip
    return metrics, {"name": "holiday", "trainer": {"threads": None}, "callbacks": {}, "list": [1, 2]}
