"""``task=train``: trains on a scene, evaluates it and writes the results."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from bags.callbacks import Checkpoint, LiveViewer
from bags.callbacks.base import StepCallback
from bags.dashboards import close, log_settings
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.errors import BagsError
from bags.io.atomic import WriteError, explained
from bags.modules.bags_module import BagsModule
from bags.ops.threads import torch_threads_by_size
from bags.run.build import build
from bags.run.checkpoints import take_place, written
from bags.run.folder import begin, finished, owned
from bags.run.forecast import check
from bags.run.process import is_first_process
from bags.run.results import finish
from bags.run.start import Start, decide
from bags.run.trainer import make_trainer
from bags.settings import Settings
from bags.system.signals import Stopped, heard_by, stop

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Train ``settings``; at the end write metrics and pictures and print the table.

    Raises:
        Stopped: by a signal, at any time; a ``SystemExit`` with 128 + its number, as in shells.
        BagsError: a file could not be written; what was saved before is intact.
    """
    with heard_by(stop):
        seen = written(settings.folder)
        made = ready(settings)  # before locking, so that errors are reported before anything is changed
        if made is None:
            return
        if not is_first_process():
            learn(*made)
            return
        with owned(settings):
            if written(settings.folder) != seen:  # another process has trained here meanwhile
                made = None  # two scenes at once may not fit into memory
                made = ready(settings)
            if made:
                lead(*made)


def ready(settings: Settings) -> tuple[Start, SceneDataModule, BagsModule] | None:
    """Decide, read the scene and create the module, without writing anything; None if the run is finished."""
    if settings.ckpt_path == "auto" and finished(settings):
        print(f"{settings.name} is finished", file=sys.stderr)
        return None
    with telling("nothing was written; run the same command again"):
        start = decide(settings)
        return start, *build(start)


def lead(start: Start, datamodule: SceneDataModule, module: BagsModule) -> None:
    """Train as the first or only process, which has locked the run's folder."""
    how = "resume with the same command" + ("" if start.settings.ckpt_path == "auto" else " and ckpt_path=auto")
    with telling(how), explained(start.folder):
        if aside := begin(start.settings):
            log.info("the earlier run of this name was moved to %s", aside)
        if start.saved and start.settings.ckpt_path in ("auto", "last"):
            start.saved.path = take_place(start.saved.path)
        check(start, datamodule, module)
        if start.saved:
            log.info("resuming from %s", start.saved.path)
        learn(start, datamodule, module)


@contextmanager
def telling(what_to_do: str) -> Iterator[None]:
    """Prints ``what_to_do`` if a signal or a disk error ends the block."""
    try:
        yield
    except (Stopped, WriteError) as reason:
        why = reason.signal.name if isinstance(reason, Stopped) else "a disk error"
        print(f"stopped by {why}: {what_to_do}", file=sys.stderr)
        raise


def learn(start: Start, datamodule: SceneDataModule, module: BagsModule) -> None:
    """Train and evaluate, from the first step or from the checkpoint ``start.saved``."""
    trainer = make_trainer(start)
    path = str(start.saved.path) if start.saved else None
    status = "failed"
    viewer = next((c for c in trainer.callbacks if isinstance(c, LiveViewer)), None)  # type: ignore[attr-defined]
    try:
        log_settings(trainer.loggers, start.settings)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            with torch_threads_by_size() if trainer.world_size == 1 else nullcontext():
                trainer.fit(module, datamodule=datamodule, ckpt_path=path, weights_only=True)
        why = next((c.halted for c in trainer.callbacks if isinstance(c, StepCallback) and c.halted), None)  # type: ignore[attr-defined]
        stopper = next((c for c in trainer.callbacks if isinstance(c, Checkpoint)), None)  # type: ignore[attr-defined]
        if stopper is not None and stopper.stopped:
            log.info("stopped at step %d", trainer.global_step)
        elif why:
            raise BagsError(f"stopped at step {trainer.global_step}: {why}; ckpt_path=auto resumes from there")
        elif trainer.is_global_zero:
            finish(start, datamodule, module, trainer)
        status = "success"
    finally:
        close(trainer.loggers, status)
        if viewer is not None:
            whole = status == "success" and trainer.global_step == module.schedule.total
            viewer.end(stay=whole and start.settings.viewer.keep)
    if stopper is not None and stopper.stopped:
        raise Stopped(stopper.signal)
