"""What every task needs: the scene, the module and the trainer of a run."""

from __future__ import annotations

import importlib.util
import logging
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.logging import RichHandler

from bags import __version__
from bags.datamodules.background import count_beside, with_background
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.datamodules.start_points import around, thinned
from bags.errors import DataError
from bags.modules.bags_module import BagsModule
from bags.modules.gaussians import random_points
from bags.ops.precision import has_fast_bfloat16
from bags.rendering import make_rasterizer
from bags.schedule import ScaleSchedule
from bags.settings import Settings
from bags.tasks.checkpoint_io import read_checkpoint
from bags.tasks.device import choose_device, idle_cuda
from bags.tasks.memory import reset_peaks
from bags.types import PointCloud

log = logging.getLogger(__name__)


def is_first_process() -> bool:
    """Is this the process that writes and shows things? Known before the processes have met."""
    return getattr(rank_zero_only, "rank", 0) == 0


def quiet_logs() -> None:
    """One tidy log on stderr, of the first process; the libraries' chatter stays out of it."""
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    level = logging.INFO if is_first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "numba", "PIL", "hydra", "py.warnings"):
        logging.getLogger(name).setLevel(logging.ERROR)


def prepare_process(settings: Settings) -> None:
    """Logs, threads, memory peaks and the seed of the networks' first weights, before anything is made."""
    quiet_logs()
    reset_peaks()
    if settings.trainer.threads is not None:
        torch.set_num_threads(settings.trainer.threads)
    torch.manual_seed(settings.seed)


def build(settings: Settings) -> tuple[SceneDataModule, BagsModule]:
    """Read the scene and make the module that learns it, on the run's device."""
    prepare_process(settings)
    if reason := idle_cuda(settings):
        log.warning("%s", reason)
    datamodule = SceneDataModule(
        settings.dataset, ScaleSchedule(settings.schedule), settings.seed, settings.trainer.views
    )
    datamodule.setup()
    module = make_module(settings, datamodule, start_points(settings, datamodule), datamodule.training_width)
    tell_precision(module)
    return datamodule, on_device(settings, module)


def make_module(settings: Settings, datamodule: SceneDataModule, points: PointCloud, width: int) -> BagsModule:
    """The module that learns a scene from ``points``, with views ``width`` pixels wide; Gaussians are on its device."""
    device = choose_device(settings)
    return BagsModule(
        settings,
        datamodule.schedule,
        PointCloud(points.xyz.to(device), points.rgb.to(device)),
        num_views=len(datamodule.scene.train),
        extent=datamodule.extent,
        width=width,
        rasterizer=make_rasterizer(
            settings.rasterizer.name, device, absolute_gradients=settings.rasterizer.absolute_gradients
        ),
    )


def on_device(settings: Settings, module: BagsModule) -> BagsModule:
    """``module`` on the run's device: the one place that brings it there, at the beginning and after training."""
    return module.to(choose_device(settings))


def tell_precision(module: BagsModule) -> None:
    """One line about the precision of the blur model, and a warning where it is a slow one."""
    if module.bpn is None:
        return
    rounds, fast = module.bpn.rounds, has_fast_bfloat16(module.gaussians.means.device)
    if rounds and not fast:
        log.warning(
            "model.bpn.bfloat16=true: this machine has no instructions for bfloat16, so that steps take several times "
            "as long as in float32; leave it at auto"
        )
    else:
        log.info("blur model in %s", "bfloat16" if rounds else "float32")


def start_points(settings: Settings, datamodule: SceneDataModule) -> PointCloud:
    """The scene's points with others behind them, or random ones where it has none; at most ``max_count``."""
    gaussians, points = settings.model.gaussians, datamodule.scene.points
    most = gaussians.max_count or max(gaussians.random_points, len(points.xyz))
    if len(points.xyz) == 0:
        points = random_points(min(gaussians.random_points, most), settings.seed)
        return points if datamodule.scene.unit else around(points, datamodule.scene, datamodule.extent)
    if len(points.xyz) > most:
        log.warning(
            "%s of the %s points to start from are taken, drawn evenly: model.gaussians.max_count",
            f"{most:,}", f"{len(points.xyz):,}",
        )  # fmt: skip
    points = thinned(points, most, settings.seed)
    return with_background(points, datamodule.train, count_beside(len(points.xyz), gaussians), settings.seed)


def load_weights(module: BagsModule, path: Path) -> dict[str, Any]:
    """Load a checkpoint into ``module``, and what was decided on the run's length into its schedule.

    Returns:
        The whole checkpoint.

    Raises:
        DataError: the file is no checkpoint (``read_checkpoint``), or not of such a model.
    """
    saved = read_checkpoint(path)
    try:
        module.load_state_dict(saved["state_dict"])
        module.schedule.restore(saved.get("decisions", ()))
    except Exception as error:  # torch lists all that does not fit, each in its own way
        raise DataError(f"{path} is not a checkpoint of this run's model: {error}") from error
    return saved


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    packages = ["torch", "lightning", "numba", "numpy", "hydra-core", "pillow", "scikit-image", "torchmetrics", "lpips"]
    packages += [name for name in ("gsplat",) if importlib.util.find_spec(name) is not None]
    return {"bags": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}


def device_name(device: torch.device | str = "cpu") -> str:
    """The machine part that ``device`` is, in words."""
    if torch.device(device).type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    try:
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        name = platform.processor() or platform.machine()
    return f"cpu ({name}, {torch.get_num_threads()} threads)"
