"""``task=evaluate``: judge a finished run again, from any of its checkpoints, in either protocol."""

from __future__ import annotations

import json

from bags.run_folder import checkpoint
from bags.settings import Settings
from bags.tasks.results import judge, run_facts
from bags.tasks.setup import build, load_weights


def run(settings: Settings) -> None:
    """Judge ``ckpt_path`` (default: the last).

    The last one's figures replace ``metrics.json``; those of a checkpoint of step N go to ``metrics_N.json``.
    """
    path = checkpoint(settings, default="last")
    assert path is not None
    datamodule, module = build(settings)
    saved = load_weights(module, path)
    step = int(saved["global_step"])
    seconds = saved.get("callbacks", {}).get("Stopwatch", {}).get("seconds")
    facts = run_facts(settings, module, step, seconds)
    last = step == module.schedule.total
    earlier = settings.folder / "metrics.json"
    if last and earlier.is_file():  # the training's own memory, not this evaluation's
        before = json.loads(earlier.read_text(encoding="utf-8"))
        facts |= {key: before.get(key) for key in ("peak_memory_mb", "gpu_memory_mb")}
    judge(settings, datamodule, module, facts, "metrics.json" if last else f"metrics_{step}.json")
