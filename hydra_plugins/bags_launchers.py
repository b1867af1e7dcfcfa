"""Hydra launchers of ``cluster=local`` and ``cluster=slurm`` (Hydra looks for its plugins in this package)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from bags.errors import to_install


class Jobs(Launcher):
    """Makes a command for every job; subclasses define how they run."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra passes."""
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the unfinished jobs; returns one result per job, in order, whether it failed or not."""
        from bags.sweeps.job import make_job

        jobs = [
            make_job(self.config, self.context, overrides, initial_job_idx + i)
            for i, overrides in enumerate(job_overrides)
        ]
        results = {i: job.ended(self.context) for i, job in enumerate(jobs) if not job.command}
        left = [i for i, job in enumerate(jobs) if job.command]
        for i, status in self.run([jobs[i] for i in left]) if left else ():
            results[left[i]] = jobs[left[i]].ended(self.context, status)
        return [results[i] for i in range(len(jobs))]

    def run(self, jobs: Sequence[Any]) -> Any:
        """Run the commands; yields index and exit status (or why there is none) as they end."""
        raise NotImplementedError


class LocalLauncher(Jobs):
    """Processes on this machine, as many at once as fit (``bags.sweeps.capacity.places``).

    Args:
        jobs: largest number at once; None: as many as fit.
        cores: CPU cores of a job that runs on the CPU.
        memory_gb: main memory of a job.
    """

    def __init__(self, jobs: int | None, cores: int, memory_gb: float) -> None:
        self.limit, self.cores, self.memory_gb = jobs, cores, memory_gb

    def run(self, jobs: Sequence[Any]) -> Any:
        """Start them in order; their output goes to ``<output_root>/sweep_logs/``."""
        from bags.sweeps.capacity import places
        from bags.sweeps.job import log_file
        from bags.sweeps.processes import run_all

        found = places(jobs[0].settings, self.cores, self.memory_gb, self.limit)
        print(f"{len(jobs)} jobs, {len(found)} at once; logs in {log_file(jobs[0].settings).parent}/")
        yield from run_all([(job.command, log_file(job.settings)) for job in jobs], found)


class SlurmLauncher(Jobs):
    """Jobs of a Slurm array, through submitit.

    Args:
        folder: submitit's files and the jobs' output.
        max_num_timeout: how often a job may be requeued after its time limit.
        parameters: of ``submitit.AutoExecutor.update_parameters``; those with the prefix ``slurm_`` are for sbatch.
    """

    def __init__(self, folder: str, max_num_timeout: int, **parameters: Any) -> None:
        self.folder, self.max_num_timeout = folder, max_num_timeout
        self.parameters = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in parameters.items()
            if value is not None
        }

    def run(self, jobs: Sequence[Any]) -> Any:
        """Submit all as one array and wait; if this process ends, they stay in the queue."""
        try:
            import cloudpickle
            import submitit
            from submitit.core.utils import FailedJobError, UncompletedJobError
        except ImportError as error:
            raise SystemExit(f"error: cluster=slurm needs submitit: {to_install('slurm')}") from error
        from bags.sweeps import slurm

        cloudpickle.register_pickle_by_value(slurm)  # jobs may start where this checkout cannot be imported
        executor = submitit.AutoExecutor(self.folder, cluster="slurm", slurm_max_num_timeout=self.max_num_timeout)
        executor.update_parameters(**self.parameters)
        with executor.batch():
            submitted = [executor.submit(slurm.Command(job.command)) for job in jobs]
        numbers = {job.job_id: i for i, job in enumerate(submitted)}
        print(f"{len(jobs)} jobs submitted: {', '.join(numbers)}; logs in {self.folder}/")
        for job in submitit.helpers.as_completed(submitted):
            try:
                yield numbers[job.job_id], job.result()
            except (FailedJobError, UncompletedJobError) as error:
                yield numbers[job.job_id], f"Slurm job {job.job_id} is {job.state}: {str(error).splitlines()[0]}"
