"""``task=evaluate``: evaluate a finished run again, from any of its checkpoints, in either protocol."""

from __future__ import annotations

import contextlib
from typing import Any

from bags.errors import DataError
from bags.io.documents import read_json
from bags.run.build import trained
from bags.run.results import judge, run_facts
from bags.settings import Settings

LARGEST = 1e12  # of seconds or megabytes


def run(settings: Settings) -> None:
    """Evaluate ``ckpt_path`` (default: the last checkpoint).

    The results of the run's last step replace ``metrics.json``; those of another step N go to ``metrics_N.json``.
    """
    judged = trained(settings)
    seconds = _number(judged.callbacks, "Stopwatch", "seconds")
    facts = run_facts(
        settings, judged.module, judged.step, seconds, _number(judged.callbacks, "SkipNonFinite", "skipped")
    )
    last = judged.step == judged.module.schedule.total
    if last:  # keep the peak memory of the training instead of this evaluation's
        with contextlib.suppress(DataError):  # there is no metrics.json, or it is damaged: it is written again
            before = read_json(settings.folder / "metrics.json")
            facts["peak_memory_mb"] = _number(before, "peak_memory_mb") or facts["peak_memory_mb"]
            facts["gpu_memory_mb"] = _number(before, "gpu_memory_mb")
    judge(
        judged.start, judged.datamodule, judged.module, facts, "metrics.json" if last else f"metrics_{judged.step}.json"
    )


def _number(tree: Any, *way: str) -> float | None:
    """The finite number at a path of keys; None if there is none."""
    for key in way:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, (int, float)) and abs(tree) < LARGEST else None
