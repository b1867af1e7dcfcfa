"""Training callbacks, one concern per file. Their order matters; conf/callbacks/default.yaml defines it."""

from bags.callbacks.carry_over import CarryOver
from bags.callbacks.checkpoint import Checkpoint
from bags.callbacks.densify import Densify
from bags.callbacks.filter3d import Filter3D
from bags.callbacks.history import History
from bags.callbacks.image_logging import ImageLogging
from bags.callbacks.live_viewer import LiveViewer
from bags.callbacks.mcmc import MCMC
from bags.callbacks.opacity_reset import OpacityReset
from bags.callbacks.ply_export import PlyExport
from bags.callbacks.progress import Progress
from bags.callbacks.prune import Prune
from bags.callbacks.scalar_logging import ScalarLogging
from bags.callbacks.scale_reset import ScaleReset
from bags.callbacks.sh_growth import SHGrowth
from bags.callbacks.skip_nonfinite import SkipNonFinite
from bags.callbacks.stopwatch import Stopwatch
from bags.callbacks.test_metrics import TestMetrics
from bags.callbacks.time_budget import TimeBudget
from bags.callbacks.time_lapse import TimeLapse

__all__ = [
    "MCMC",
    "CarryOver",
    "Checkpoint",
    "Densify",
    "Filter3D",
    "History",
    "ImageLogging",
    "LiveViewer",
    "OpacityReset",
    "PlyExport",
    "Progress",
    "Prune",
    "SHGrowth",
    "ScalarLogging",
    "ScaleReset",
    "SkipNonFinite",
    "Stopwatch",
    "TestMetrics",
    "TimeBudget",
    "TimeLapse",
]
