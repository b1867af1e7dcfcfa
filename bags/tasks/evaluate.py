"""``task=evaluate``: judge a finished run again, from any of its checkpoints, in either protocol."""

from __future__ import annotations

import json
from typing import Any

from bags.run_folder import checkpoint
from bags.settings import Settings
from bags.tasks.results import judge
from bags.tasks.setup import build, device_name, load_weights, peak_memory_mb, versions


def run(settings: Settings) -> None:
    """Judge ``ckpt_path`` (default: the last).

    The last one's figures replace ``metrics.json``; those of a checkpoint of step N go to ``metrics_N.json``.
    """
    path = checkpoint(settings, default="last")
    assert path is not None
    datamodule, module = build(settings)
    saved = load_weights(module, path)
    step = int(saved["global_step"])
    facts: dict[str, Any] = {
        "steps": step,
        "train_seconds": saved.get("callbacks", {}).get("Stopwatch", {}).get("seconds"),
        "num_gaussians": len(module.gaussians),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "seed": settings.seed,
        "model": settings.model.name,
        "device": device_name(),
        "versions": versions(),
    }
    last = step == module.schedule.total
    earlier = settings.folder / "metrics.json"
    if last and earlier.is_file():  # the training's own memory, not this evaluation's
        facts["peak_memory_mb"] = json.loads(earlier.read_text(encoding="utf-8"))["peak_memory_mb"]
    judge(settings, datamodule, module, facts, "metrics.json" if last else f"metrics_{step}.json")
