"""The machine, and what a run writes: the sections ``trainer``, ``output`` and ``paths``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, one_of, setting


@dataclass(frozen=True)
class TrainerSettings(Section, key="trainer"):
    """The machine, and how many views make a step.

    Attributes:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: processes that train together, each on its own GPU (or on the CPU).
        views_per_step: views per optimiser step, over all processes; a multiple of ``devices``; null: one per process.
            Gradients are averaged over them; learning rates and thresholds do not change.
        threads: CPU threads of each process; null: torch's own choice.
        progress: show the progress.
    """

    accelerator: str = setting("auto", one_of("auto", "cpu", "gpu"))
    devices: int = setting(1, at_least(1))
    views_per_step: int | None = setting(None, at_least(1))
    threads: int | None = setting(None, at_least(1))
    progress: bool = True

    @property
    def views(self) -> int:
        """Views per optimiser step over all processes."""
        return self.views_per_step or self.devices

    def _check(self) -> None:
        even = self.views % self.devices == 0
        remedy = f"must be a multiple of trainer.devices ({self.devices}): every process takes the same number of views"
        self.need(even, "views_per_step", remedy)


@dataclass(frozen=True)
class OutputSettings(Section, key="output"):
    """What a run writes, and at which steps (of the run itself, not scaled).

    Attributes:
        checkpoint_every: write ``checkpoints/last.ckpt`` this often; null: only at the end and when stopped.
        checkpoint_steps: also keep ``checkpoints/step_N.ckpt`` of these steps.
        save_steps: also keep ``point_cloud_N.ply`` of these steps.
        test_steps: also compute test metrics at these steps (into ``metrics_N.json``).
        images_every: write and log training pictures this often; null: never.
        time_lapse: draw one training view this many times during training, as a video (``time_lapse.mp4``); 0: none.
        train_views: at the end, analyse at most this many training views, spread over the list: their estimated blur,
            and pictures of photo, blurry prediction, sharp render, mask, kernels and depth; null: all.
        report: write ``report.html`` after the run and after ``task=evaluate`` (docs/report.md).
    """

    checkpoint_every: int | None = setting(1000, at_least(1))
    checkpoint_steps: tuple[int, ...] = setting((), at_least(1))
    save_steps: tuple[int, ...] = setting((), at_least(1))
    test_steps: tuple[int, ...] = setting((), at_least(1))
    images_every: int | None = setting(500, at_least(1))
    time_lapse: int = setting(40, at_least(0))
    train_views: int | None = setting(None, at_least(0))
    report: bool = True


@dataclass(frozen=True)
class PathsSettings(Section, key="paths"):
    """Where things are on this machine.

    Attributes:
        data: folder that holds a folder for every scene; ``dataset.root`` of the benchmark scenes is below it.
    """

    data: str = "data"
