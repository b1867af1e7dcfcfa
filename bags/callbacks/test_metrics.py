"""Test metrics during a run, at requested steps."""

from __future__ import annotations

import logging

from lightning import Trainer

from bags.callbacks.base import StepCallback
from bags.dashboards import test_scalars
from bags.evaluation.views import judge_test_views
from bags.io.records import write_json
from bags.modules.bags_module import BagsModule, TrainingOutput
from bags.settings import Settings

log = logging.getLogger(__name__)


class TestMetrics(StepCallback):
    """Evaluates the test views at ``output.test_steps`` and writes ``metrics_N.json``; training does not use them."""

    __test__ = False  # not a test class, although pytest collects this name
    first_rank_only = True

    def configure(self, settings: Settings) -> None:
        """Take the steps, the metrics and the folder."""
        self._output, self._metrics, self._folder = settings.output, settings.metrics, settings.folder

    def after_step(self, trainer: Trainer, pl_module: BagsModule, output: TrainingOutput) -> None:
        """Evaluate if due."""
        step = output.phase.step
        if step not in self._output.test_steps:
            return
        views = trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
        metrics = {"step": step, **judge_test_views(pl_module, views, self._metrics)}
        write_json(self._folder / f"metrics_{step}.json", metrics)
        log.info("step %d: test PSNR %s", step, metrics["psnr"])
        for logger in trainer.loggers:
            logger.log_metrics(test_scalars(metrics), step=step)
