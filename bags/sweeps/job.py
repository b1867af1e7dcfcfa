"""A job of a sweep as a separate command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from bags.config.nodes import to_settings
from bags.config.words import quoted
from bags.errors import BagsError
from bags.run.folder import finished, psnr
from bags.settings import Settings
from bags.sweeps.naming import as_job_of_sweep, job_name


@dataclass
class Job:
    """One job: its settings, how to run it, and its outcome.

    Attributes:
        config: Hydra's whole composition of the job.
        name: of the run, a folder below ``output_root``.
        settings: validated; None if they are invalid.
        command: to run it; empty if there is nothing to run, because it is finished or invalid.
        failure: why it failed; None if it did not.
    """

    config: DictConfig
    name: str
    settings: Settings | None
    command: list[str]
    failure: str | None = None

    def ended(self, context: HydraContext, status: int | str = 0) -> JobReturn:
        """Notify Hydra's callbacks, and return the result for sweepers.

        Args:
            context: of the sweep.
            status: exit status of the command, or a text that says why there is none.
        """
        if self.failure is None and status != 0:
            self.failure = f"exit status {status}" if isinstance(status, int) else status
        result = JobReturn(overrides=list(self.config.hydra.overrides.task), cfg=self.config)
        result.status = JobStatus.COMPLETED
        result.return_value = psnr(self.settings) if self.settings and not self.failure else None
        context.callbacks.on_job_end(config=self.config, job_return=result)
        if self.failure:
            print(f"{self.name} failed: {self.failure}", file=sys.stderr)
        return result


def make_job(master: DictConfig, context: HydraContext, overrides: Sequence[str], number: int) -> Job:
    """Compose and validate a job; finished trainings and invalid settings need no process.

    Args:
        master: Hydra's composition of the whole sweep.
        context: of the sweep.
        overrides: of this job.
        number: index of the job in the sweep.
    """
    config = context.config_loader.load_sweep_config(master, list(overrides))
    with open_dict(config):
        config.hydra.job.num = number
        config.hydra.job.id = str(number)
    name = job_name(config.name, config.seed, config.hydra)
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        settings = to_settings(as_job_of_sweep(own, config.hydra))
    except BagsError as error:
        return Job(config, name, None, [], failure=str(error))
    if settings.task == "train" and settings.ckpt_path == "auto" and finished(settings):
        print(f"{name} is finished", file=sys.stderr)
        return Job(config, name, settings, [])
    return Job(config, name, settings, command(config, overrides, settings))


def command(config: DictConfig, overrides: Sequence[str], settings: Settings) -> list[str]:
    """The command of the job as a single run, started in the same way as this process."""
    module = sys.modules["__main__"].__spec__  # None for a script
    own = [sys.executable, "-m", module.name] if module else [sys.executable, sys.argv[0]]
    sources = {source.provider: source.path for source in config.hydra.runtime.config_sources}
    where = ["--config-dir", sources["command-line"]] if "command-line" in sources else []
    where += ["--config-name", config.hydra.job.config_name]
    job = ["hydra.mode=RUN", *(word for word in overrides if not word.startswith(("name=", "group=", "ckpt_path=")))]
    chosen = {"name": settings.name, "group": settings.group, "ckpt_path": settings.ckpt_path}
    return [*own, *where, *job, *(f"{key}={quoted(value)}" for key, value in chosen.items() if value)]


def log_file(settings: Settings) -> Path:
    """File for a job's output; it is not in the run's folder, because that may still be moved aside."""
    path = Path(settings.output_root) / "sweep_logs" / f"{settings.name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
