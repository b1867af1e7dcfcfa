"""The command line: ``python run.py key=value ...``, also installed as ``bags``."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bags.config.files import check_overrides, config_folder
from bags.config.nodes import closest, on_top_of_saved, register, to_settings
from bags.config.words import for_hydra
from bags.errors import BagsError, SettingError, to_install
from bags.io.places import photos_or_video, scene_folder
from bags.run.folder import psnr
from bags.settings import Settings
from bags.sweeps.naming import as_job_of_sweep

TASKS = (
    "train", "evaluate", "render", "view", "prepare", "reconstruct", "export", "benchmark", "summarize", "gpu_check",
)  # fmt: skip
FROM_PHOTOS = ("prepare", "reconstruct")  # tasks that start from photos; their default is scene=photos
ON_A_RUN = ("evaluate", "render", "view", "export")  # tasks that use a finished run's settings
# Flags with which Hydra may read other configuration files than ours.
OTHER_KEYS = ("--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd", "--shell-completion", "-sc")


@hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")
def _run(cfg: DictConfig) -> float | None:
    """One run, or one job of a sweep in this process.

    Returns:
        The PSNR on the test views, for sweepers that look for the best; NaN if there is none; None if the run failed.
        The other jobs of a sweep continue, and the sweep reports failures at the end (``bags.sweeps.report``).
    """
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        settings = _settings(cfg)
        check_places(settings)
        logging.captureWarnings(True)
        # Imported late, so that mistakes in the settings are reported before torch and lightning load.
        importlib.import_module(f"bags.tasks.{settings.task}").run(settings)
        return psnr(settings)
    except BagsError as error:
        print(f"error: {error}", file=sys.stderr)
    except Exception:
        if not sweep:
            raise
        traceback.print_exc()
    if not sweep:
        sys.exit(1)
    return None


def _settings(cfg: DictConfig) -> Settings:
    """Validated settings of this job; if the task works on a finished run, based on that run's settings."""
    hydra_cfg = HydraConfig.get()
    overrides = list(hydra_cfg.overrides.task)
    if hydra_cfg.mode == RunMode.MULTIRUN:
        if cfg.trainer.devices > 1:
            remedy = "a sweep in one process cannot use several: set cluster=local or cluster=slurm"
            raise SettingError("trainer.devices", cfg.trainer.devices, remedy)
        cfg = as_job_of_sweep(cfg, hydra_cfg)
        print(f"job {hydra_cfg.job.num}: {cfg.name}", file=sys.stderr)
    if cfg.task == "summarize" and not any(override.startswith("name=") for override in overrides):
        cfg.name = "summary"  # it is not the folder of a run
    if cfg.task not in TASKS:
        close = closest(str(cfg.task), TASKS, "_")
        hint = f"did you mean {close[0]}? there are" if close else "must be one of"
        raise SettingError("task", cfg.task, f"{hint} {', '.join(TASKS)}")
    check_data(cfg, hydra_cfg.runtime.choices.get("scene"))
    if cfg.task in ON_A_RUN:
        saved = Path(cfg.output_root) / str(cfg.name) / "config.yaml"
        if not saved.is_file():
            raise BagsError(
                f"there is no run in {saved.parent}: train it first, or select another one with name= or output_root="
            )
        # Not the saved ones: the folder may have been moved, and the training may have resumed from another checkpoint.
        own = {key: cfg[key] for key in ("name", "output_root", "ckpt_path")}
        cfg = on_top_of_saved(cfg, saved, overrides)
        cfg.update(own)
    return to_settings(cfg)


def check_data(cfg: DictConfig, scene: str | None) -> None:
    """Check that no photos are given that the task would ignore.

    Args:
        cfg: of the command line, without the settings of a finished run.
        scene: the chosen option of the group ``scene``.

    Raises:
        SettingError: photos would be ignored, or ``scene=photos`` has none.
    """
    if cfg.task in FROM_PHOTOS:
        return
    if cfg.source:
        remedy = f"task={cfg.task} does not use it; leave it out, or add task=reconstruct"
        raise SettingError("source", cfg.source, remedy)
    if scene == "photos":
        raise SettingError("source", None, "scene=photos needs photos: task=reconstruct source=/path/to/photos")
    if cfg.dataset.parser == "synthetic" and cfg.dataset.root and cfg.task not in ON_A_RUN:
        raise SettingError("dataset.root", cfg.dataset.root, "the built-in scene has no folder; add scene=own")


def check_places(settings: Settings) -> None:
    """Check that the input of the task exists.

    Raises:
        BagsError: it does not, or none is given.
    """
    if settings.task in FROM_PHOTOS and settings.ckpt_path is None:
        photos_or_video(settings.source)
    elif settings.task == "train" and settings.dataset.parser != "synthetic":
        scene_folder(settings.dataset.root)


def checked(words: Sequence[str]) -> list[str]:
    """The words of the command line, in Hydra's syntax.

    Raises:
        BagsError: as ``check_words``, or a value that cannot be read.
    """
    if any(f"task={task}" in words for task in FROM_PHOTOS) and not any(word.startswith("scene=") for word in words):
        words = ["scene=photos", *words]
    check_words(words)
    return for_hydra(words)


def check_words(words: Sequence[str]) -> None:
    """Report mistakes on the command line before Hydra does, in one line and with a remedy.

    Raises:
        BagsError: a key or an option does not exist, or a sweeper is not installed.
    """
    if "hydra/sweeper=optuna" in words and importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
        raise BagsError(f"hydra/sweeper=optuna is not installed: {to_install('optuna')}")
    if not others(words):
        check_overrides(words)


def others(words: Sequence[str]) -> bool:
    """Whether the command line names other configuration files, which only Hydra reads."""
    return any(word.startswith(OTHER_KEYS) for word in words)


def help_text() -> str:
    """The text of ``--help``, from ``conf/hydra/help/bags.yaml``; Hydra itself would take seconds to make it."""
    conf = Path(config_folder())
    known = yaml.safe_load((conf / "hydra/help/bags.yaml").read_text(encoding="utf-8"))
    groups = {
        str(folder.relative_to(conf)): ", ".join(sorted(option.stem for option in folder.glob("*.yaml")))
        for folder in sorted(conf.rglob("*"))
        if folder.is_dir() and folder.relative_to(conf).parts[0] != "hydra"
    }
    listed = "".join(f"{name}: {options}\n" for name, options in groups.items())
    return str(known["template"]).replace("${hydra.help.header}", known["header"]).replace("$APP_CONFIG_GROUPS", listed)


def main() -> None:
    """Entry point of ``run.py`` and of the console script."""
    register()
    for stream in (sys.stdout, sys.stderr):  # a file's name may have characters that the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    try:
        if not {"--help", "-h"}.isdisjoint(words) and not others(words):
            print(help_text())
            return
        sys.argv[1:] = checked(words)
    except BagsError as error:
        sys.exit(f"error: {error}")
    _run()


if __name__ == "__main__":
    main()
