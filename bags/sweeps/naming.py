"""Names of a sweep's jobs: functions of what is swept, so that the sweep finds its runs again when it is repeated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig

LONGEST = 100  # bytes of a name before it is cut


def fixed_keys(overrides: Iterable[str]) -> list[str]:
    """Keys that do not tell the jobs of a sweep apart, or that their names hold anyway.

    Args:
        overrides: of the whole sweep, ``key=value`` or ``key=value,value,...``.

    Returns:
        Every key with one value, ``name``, ``scene`` where the name is left to it, and ``seed``, which is always told;
        but for a sweep over names, which are taken as they are.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [override.is_sweep_override() for override in parsed if override.key_or_group == "name"]
    fixed = {override.key_or_group for override in parsed if not override.is_sweep_override()} | {"name"}
    if not names:
        fixed.add("scene")
    return sorted(fixed - {"seed"} if any(names) else fixed | {"seed"})


def job_name(name: str, seed: int, hydra_cfg: Any) -> str:
    """The name of a job's run: ``<name>-seed<seed>`` and what else is swept, as ``-<key>_<value>``.

    Args:
        name: as the job's configuration has it; by default its scene.
        seed: of the job.
        hydra_cfg: Hydra's own configuration of the job; ``bags.sweeps.report.Sweep`` has put into it what is swept.
    """
    fixed = hydra_cfg.job.config.override_dirname.exclude_keys
    job = OverridesParser.create().parse_overrides(sorted(hydra_cfg.overrides.task))
    swept = [_told(override) for override in job if override.key_or_group not in fixed]
    return readable("-".join([str(name), *([f"seed{seed}"] if "seed" in fixed else []), *swept]), "-".join(swept))


def _told(override: Override) -> str:
    """``<key>_<value>`` of what is swept; a text without the quotes that Hydra's grammar wants around it."""
    key, _, value = (override.input_line or "").partition("=")
    if isinstance(override._value, QuotedString):
        value = override._value.text
    return f"{key}_{value}".replace("=", "_")


def as_job_of_sweep(config: DictConfig, hydra_cfg: Any) -> DictConfig:
    """``config`` with the job's name and group; a training resumes what an earlier start of the sweep has left."""
    config.name = job_name(config.name, config.seed, hydra_cfg)
    if config.group is None:
        config.group = group_of(hydra_cfg.runtime.choices["experiment"], list(hydra_cfg.overrides.task))
    if config.task == "train" and config.ckpt_path is None:
        config.ckpt_path = "auto"
    return config


def group_of(experiment: str, overrides: list[str]) -> str:
    """Name of a sweep, the same for all its jobs and when it is started again."""
    keys = sorted({override.split("=", 1)[0].lstrip("+~") for override in overrides})
    return experiment if experiment != "none" else ",".join(keys)[:100]


def readable(name: str, swept: str = "") -> str:
    """``name`` as a folder that needs no quotes; what is lost of it is replaced by a digest.

    Args:
        name: may have folders above it, as ``2024/kitchen``.
        swept: its end, in which a path is no folder above anything.
    """
    kept = name.removesuffix(swept) + swept.replace("/", "_")
    kept = re.sub(r"[^\w./-]+", "_", kept).encode()[:LONGEST].decode(errors="ignore")
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:6]
    return kept if kept == name else f"{kept}-{digest}"
