"""The process of a run: its rank, log, threads and seed."""

from __future__ import annotations

import logging

import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.logging import RichHandler

from bags import TORCH_SPINS
from bags.settings import TrainerSettings
from bags.system.memory import reset_peaks

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Whether this process does the writing and displaying; known before the processes are connected."""
    return getattr(rank_zero_only, "rank", 0) == 0


def quiet_logs() -> None:
    """Log to stderr, from the first process only, without the messages of libraries."""
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    level = logging.INFO if is_first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "numba", "PIL", "hydra", "py.warnings"):
        logging.getLogger(name).setLevel(logging.ERROR)


def prepare_process(trainer: TrainerSettings, seed: int) -> None:
    """Set up log, threads, memory peaks and the seed of the networks' initial weights, before anything is created."""
    quiet_logs()
    if TORCH_SPINS:
        log.warning(
            "torch was imported before bags, so its idle threads keep cores busy and training is slower; import bags "
            "first, or set OMP_WAIT_POLICY=passive"
        )
    reset_peaks()
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    torch.manual_seed(seed)
