"""``task=evaluate``: judge a finished run again, from any of its checkpoints, in either protocol."""

from __future__ import annotations

import contextlib
from typing import Any

from bags.errors import DataError
from bags.io.documents import read_json
from bags.settings import Settings
from bags.tasks.checkpoints import checkpoint
from bags.tasks.results import judge, run_facts
from bags.tasks.setup import build, load_weights

LARGEST = 1e12  # of seconds or megabytes


def run(settings: Settings) -> None:
    """Judge ``ckpt_path`` (default: the last).

    The last one's figures replace ``metrics.json``; those of a checkpoint of step N go to ``metrics_N.json``.
    """
    path = checkpoint(settings, default="last")
    assert path is not None
    datamodule, module = build(settings)
    saved = load_weights(module, path)
    step = int(saved["global_step"])
    seconds = _number(saved, "callbacks", "Stopwatch", "seconds")
    facts = run_facts(settings, module, step, seconds, _number(saved, "callbacks", "SkipNonFinite", "skipped"))
    last = step == module.schedule.total
    if last:  # the training's own memory, not this evaluation's
        with contextlib.suppress(DataError):  # no figures yet, or damaged ones: these take their place
            before = read_json(settings.folder / "metrics.json")
            facts["peak_memory_mb"] = _number(before, "peak_memory_mb") or facts["peak_memory_mb"]
            facts["gpu_memory_mb"] = _number(before, "gpu_memory_mb")
    judge(settings, datamodule, module, facts, "metrics.json" if last else f"metrics_{step}.json")


def _number(tree: Any, *way: str) -> float | None:
    """The finite number to which a way of keys leads; None where there is none."""
    for key in way:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, (int, float)) and abs(tree) < LARGEST else None
