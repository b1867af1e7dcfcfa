"""A whole run: every section, and the keys that stand by themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bags.errors import SettingError
from bags.settings.dataset import DatasetSettings
from bags.settings.limits import Section, below_output_root, setting, such_that
from bags.settings.loss import LossSettings
from bags.settings.metrics import MetricsSettings
from bags.settings.model import ModelSettings
from bags.settings.optim import DensifySettings, OptimSettings
from bags.settings.rasterizer import RasterizerSettings
from bags.settings.schedule import ScheduleSettings
from bags.settings.tasks import BenchmarkSettings, ExportSettings, PrepareSettings, RenderSettings, SummarizeSettings
from bags.settings.trainer import OutputSettings, PathsSettings, TrainerSettings
from bags.settings.viewer import ViewerSettings


@dataclass(frozen=True)
class Settings(Section, key=""):
    """A whole run.

    Attributes:
        task: ``train``, ``evaluate``, ``render``, ``view``, ``prepare``, ``reconstruct``, ``export``,
            ``benchmark``, ``summarize`` or ``gpu_check``.
        scene: name of the scene, as it appears in tables.
        name: the run's folder below ``output_root``; by default the scene's name.
        output_root: folder that holds a folder for every run.
        group: how ``logger=wandb`` groups runs that belong together; null: in a sweep the experiment's name, or else
            the names of the swept keys.
        seed: of every random draw.
        source: folder of photos, or video file, for ``task=prepare`` and ``task=reconstruct``.
        ckpt_path: checkpoint to resume or to draw from: a path, or ``last`` for the run's own last one. ``auto`` (used
            by the jobs of a sweep) resumes a run with the same configuration, does nothing if it is finished, and
            trains from the start if there is none.
        callbacks, logger: ``_target_`` nodes, made by ``bags.config.nodes.instantiate``.
    """

    task: str = "train"
    scene: str = "synthetic"
    name: str = setting("run", below_output_root("a folder"))
    group: str | None = None
    seed: int = setting(0, such_that(lambda seed: 0 <= seed < 2**31, "must lie in [0, 2**31)"))
    output_root: str = "outputs"
    source: str | None = None
    ckpt_path: str | None = None
    paths: PathsSettings = field(default_factory=PathsSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    densify: DensifySettings = field(default_factory=DensifySettings)
    loss: LossSettings = field(default_factory=LossSettings)
    rasterizer: RasterizerSettings = field(default_factory=RasterizerSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    viewer: ViewerSettings = field(default_factory=ViewerSettings)
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    summarize: SummarizeSettings = field(default_factory=SummarizeSettings)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the run's results are."""
        return Path(self.output_root) / self.name

    def _check(self) -> None:
        divisors = tuple(self.schedule.scale_divisors)
        if len(self.model.bpn.kernels) != len(divisors):
            remedy = f"needs one kernel side per scale (schedule.scale_divisors = {divisors})"
            raise SettingError("model.bpn.kernels", self.model.bpn.kernels, remedy)
        if self.densify.strategy == "mcmc" and self.model.gaussians.max_count is None:
            remedy = "must be a number: densify=mcmc adds Gaussians up to it"
            raise SettingError("model.gaussians.max_count", None, remedy)
