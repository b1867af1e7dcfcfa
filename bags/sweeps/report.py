"""Hooks of a sweep: they pass the swept keys to the jobs, collect the outcomes, and report at the end."""

from __future__ import annotations

import sys
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from bags.sweeps.naming import fixed_keys, job_name


class Sweep(Callback):
    """Hydra's hooks around a sweep (``hydra.callbacks.sweep``); they do nothing in single runs.

    A job has failed if its function raised an error or returned None.
    """

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.jobs = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Pass to every job the keys that its name leaves out."""
        swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        keys = ",".join(fixed_keys([*swept, *config.hydra.overrides.task]))
        with read_write(config):
            config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Record the outcome of a job."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        self.jobs += 1
        if job_return.status != JobStatus.COMPLETED or job_return.return_value is None:
            self.failed.append(job_name(config.name, config.seed, config.hydra))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the outcome of the sweep.

        Raises:
            SystemExit: with status 1, if a job failed.
        """
        print(f"sweep: {self.jobs - len(self.failed)} of {self.jobs} jobs done", file=sys.stderr)
        if self.failed:
            print(f"failed: {', '.join(self.failed)}; run the same command again to repeat only these", file=sys.stderr)
            sys.exit(1)
