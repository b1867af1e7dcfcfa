"""The command line: ``python run.py key=value ...``, also installed as ``bags``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from bags.config import register, to_settings
from bags.errors import BagsError, SettingError

TASKS = ("train", "evaluate", "render", "benchmark")
PACKAGE = Path(__file__).resolve().parent


def config_folder() -> str:
    """``conf/`` of the checkout, or the copy inside an installed wheel."""
    checkout = PACKAGE.parent / "conf"
    return str(checkout if (checkout / "config.yaml").is_file() else PACKAGE / "conf")


@hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")
def _run(cfg: DictConfig) -> None:
    try:
        settings = to_settings(cfg)
        if settings.task not in TASKS:
            raise SettingError("task", settings.task, f"must be one of {', '.join(TASKS)}")
        logging.captureWarnings(True)
        # Imported only now: a mistake in the settings is told before torch and lightning load.
        importlib.import_module(f"bags.tasks.{settings.task}").run(settings)
    except BagsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Entry point of ``run.py`` and of the console script."""
    # Before torch loads: its idle threads sleep instead of spinning on the cores that our kernels' threads need.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    register()
    _run()


if __name__ == "__main__":
    main()
