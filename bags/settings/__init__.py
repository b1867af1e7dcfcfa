"""All settings of a run, typed and validated: one frozen dataclass per section, in files as in conf/.

The YAML files under ``conf/`` have the values; these classes have the types, the meaning and the limits. An invalid
value raises ``SettingError`` immediately, naming its key. Nothing here imports torch or lightning, so that a mistake on
the command line is reported before they load. Section numbers refer to the method (Peng et al., BAGS, ECCV 2024) as
stated in docs/method.md.
"""

from bags.settings.dataset import DatasetSettings, MixedResolutionSettings, SyntheticSettings
from bags.settings.loss import LossSettings
from bags.settings.metrics import MetricsSettings
from bags.settings.model import BPNSettings, GaussianSettings, LensSettings, ModelSettings, TrajectorySettings
from bags.settings.optim import DensifySettings, OptimSettings
from bags.settings.rasterizer import RasterizerSettings
from bags.settings.schedule import ScheduleSettings
from bags.settings.tasks import BenchmarkSettings, ExportSettings, PrepareSettings, RenderSettings, SummarizeSettings
from bags.settings.trainer import OutputSettings, PathsSettings, TrainerSettings
from bags.settings.viewer import ViewerSettings
from bags.settings.whole import Settings

__all__ = [
    "BPNSettings",
    "BenchmarkSettings",
    "DatasetSettings",
    "DensifySettings",
    "ExportSettings",
    "GaussianSettings",
    "LensSettings",
    "LossSettings",
    "MetricsSettings",
    "MixedResolutionSettings",
    "ModelSettings",
    "OptimSettings",
    "OutputSettings",
    "PathsSettings",
    "PrepareSettings",
    "RasterizerSettings",
    "RenderSettings",
    "ScheduleSettings",
    "Settings",
    "SummarizeSettings",
    "SyntheticSettings",
    "TrainerSettings",
    "TrajectorySettings",
    "ViewerSettings",
]
