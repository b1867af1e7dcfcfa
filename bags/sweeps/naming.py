"""Names of a sweep's jobs, derived from what is swept, so that a repeated sweep finds its runs again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig

LONGEST = 100  # bytes of a name; longer ones are truncated


def fixed_keys(overrides: Iterable[str]) -> list[str]:
    """Keys that do not distinguish the jobs of a sweep, or that their names contain anyway.

    Args:
        overrides: of the whole sweep, ``key=value`` or ``key=value,value,...``.

    Returns:
        Every key with a single value, ``name``, ``scene`` if it determines the name, and ``seed``, which is always part
        of the name. In a sweep over names these are used unchanged, without the seed.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [override.is_sweep_override() for override in parsed if override.key_or_group == "name"]
    fixed = {override.key_or_group for override in parsed if not override.is_sweep_override()} | {"name"}
    if not names:
        fixed.add("scene")
    return sorted(fixed - {"seed"} if any(names) else fixed | {"seed"})


def job_name(name: str, seed: int, hydra_cfg: Any) -> str:
    """The name of a job's run: ``<name>-seed<seed>`` and every other swept key, as ``-<key>_<value>``.

    Args:
        name: in the job's configuration; by default its scene.
        seed: of the job.
        hydra_cfg: Hydra's own configuration of the job, to which ``bags.sweeps.report.Sweep`` has added what is swept.
    """
    fixed = hydra_cfg.job.config.override_dirname.exclude_keys
    job = OverridesParser.create().parse_overrides(sorted(hydra_cfg.overrides.task))
    swept = [_told(override) for override in job if override.key_or_group not in fixed]
    return readable("-".join([str(name), *([f"seed{seed}"] if "seed" in fixed else []), *swept]), "-".join(swept))


def _told(override: Override) -> str:
    """``<key>_<value>`` of a swept key; texts are without the quotes that Hydra's grammar needs."""
    key, _, value = (override.input_line or "").partition("=")
    if isinstance(override._value, QuotedString):
        value = override._value.text
    return f"{key}_{value}".replace("=", "_")


def as_job_of_sweep(config: DictConfig, hydra_cfg: Any) -> DictConfig:
    """``config`` with the job's name and group; a training resumes the run of an earlier start of the sweep."""
    config.name = job_name(config.name, config.seed, hydra_cfg)
    if config.group is None:
        config.group = group_of(hydra_cfg.runtime.choices["experiment"], list(hydra_cfg.overrides.task))
    if config.task == "train" and config.ckpt_path is None:
        config.ckpt_path = "auto"
    return config


def group_of(experiment: str, overrides: list[str]) -> str:
    """Name of a sweep: the same for all its jobs and every time it is started."""
    keys = sorted({override.split("=", 1)[0].lstrip("+~") for override in overrides})
    return experiment if experiment != "none" else ",".join(keys)[:100]


def readable(name: str, swept: str = "") -> str:
    """``name`` as a folder name that needs no quotes; if it had to be changed, a digest is appended.

    Args:
        name: may contain parent folders, as in ``2024/kitchen``.
        swept: its end, in which slashes do not separate folders.
    """
    kept = name.removesuffix(swept) + swept.replace("/", "_")
    kept = re.sub(r"[^\w./-]+", "_", kept).encode()[:LONGEST].decode(errors="ignore")
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:6]
    return kept if kept == name else f"{kept}-{digest}"
