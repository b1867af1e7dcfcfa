"""Configuration, pictures and tables for loggers: CSV, TensorBoard and Weights & Biases.

CSV loggers get no pictures, which are in the run's folder anyway.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from bags.errors import BagsError, in_utf8
from bags.io.images import to_uint8
from bags.io.records import plain, write_text
from bags.settings import Settings

METRICS = ("psnr", "ssim", "lpips")
COSTS = ("train_seconds", "num_gaussians", "peak_memory_mb", "gpu_memory_mb", "blur_rank_correlation")


def wandb_logger(save_dir: str, **options: Any) -> WandbLogger:
    """A Weights & Biases logger that continues its run in a resumed training: the id is stored in the run's folder.

    Args:
        save_dir: the run's folder.
        options: of ``WandbLogger`` and ``wandb.init``.
    """
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        file = Path(save_dir) / "wandb" / "run_id"
        if not file.is_file():
            write_text(file, secrets.token_hex(4))
        options = {"id": file.read_text(encoding="utf-8").strip(), **options}
    return WandbLogger(save_dir=save_dir, **options)


def log_settings(loggers: Sequence[Logger], settings: Settings) -> None:
    """Start every logger and log the whole configuration.

    Raises:
        BagsError: Weights & Biases cannot be reached or the user is not logged in, or TensorBoard cannot write.
    """
    values = readable(plain(asdict(settings)))
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            try:
                _ = logger.experiment
            except wandb.errors.Error as error:
                remedy = "log in, or keep the records on this machine with WANDB_MODE=offline"
                raise BagsError(f"logger=wandb: {str(error).rstrip('.')}; {remedy}") from error
        try:
            logger.log_hyperparams(values)
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("settings", indented(yaml.safe_dump(values, sort_keys=False)))
        except UnicodeEncodeError as error:  # TensorBoard's own files
            remedy = "its folder's name is not UTF-8; give another one with name= and output_root="
            raise BagsError(f"{type(logger).__name__} cannot write to {settings.folder}: {remedy}") from error


def readable(value: Any) -> Any:
    """``value`` with all texts in it converted to valid UTF-8, which file names may not be."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return in_utf8(value) if isinstance(value, str) else value


def indented(text: str) -> str:
    """Markdown that shows ``text`` unchanged."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def log_pictures(loggers: Sequence[Logger], pictures: Mapping[str, Tensor], step: int, caption: str) -> None:
    """Log pictures, (3, H, W) float in [0, 1], by their names."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            images: dict[str, Any] = {k: wandb.Image(to_uint8(p).numpy(), caption=caption) for k, p in pictures.items()}
            logger.log_metrics(images, step)
        elif isinstance(logger, TensorBoardLogger):
            for name, picture in pictures.items():
                logger.experiment.add_image(name, to_uint8(picture), step, dataformats="HWC")


def log_table(
    loggers: Sequence[Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int = 0
) -> None:
    """Log a table: to wandb as a table, to TensorBoard as text, to CSV as ``<name>.csv`` beside ``metrics.csv``."""
    rows = [readable(list(row)) for row in rows]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=list(columns), data=[list(row) for row in rows], step=step)
        elif isinstance(logger, TensorBoardLogger):
            lines = [columns, ["---"] * len(columns), *rows]
            text = "\n".join("| " + " | ".join("" if v is None else str(v) for v in line) + " |" for line in lines)
            logger.experiment.add_text(name, text, step)
        elif isinstance(logger, CSVLogger):
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
            write_text(Path(logger.log_dir) / f"{name.replace('/', '_')}.csv", buffer.getvalue())


def test_scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Means over the test views: PSNR, and SSIM and LPIPS under their protocol's name, as these cannot be compared.

    Those after colour correction are there where they were computed.

    Args:
        metrics: as ``bags.evaluation.views.judge_test_views`` returns them.
    """
    scalars = {}
    for ending in ("", "_colour_corrected"):
        scalars[f"test/psnr{ending}"] = metrics.get(f"psnr{ending}")
        for protocol, means in metrics["protocols"].items():
            scalars |= {f"test/{protocol}/{key}{ending}": means.get(f"{key}{ending}") for key in ("ssim", "lpips")}
    return {key: float(value) for key, value in scalars.items() if value is not None}


test_scalars.__test__ = False  # type: ignore[attr-defined]  # not a test, although pytest collects this name


def log_results(loggers: Sequence[Logger], metrics: Mapping[str, Any], step: int) -> None:
    """Log a finished run: its means, its cost, and a table of the test views in every protocol."""
    scalars = test_scalars(metrics)
    scalars |= {f"final/{key}": float(metrics[key]) for key in COSTS if metrics.get(key) is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # its HPARAMS page lists runs by settings and these figures
            logger.log_hyperparams(logger.hparams, scalars, step)
        else:
            logger.log_metrics(scalars, step=step)
    rows = [
        [metrics["scene"], view["name"], protocol, *(view[key] for key in METRICS)]
        for protocol, found in metrics["protocols"].items()
        for view in [*found["per_view"], {"name": "mean", **found}]
    ]
    log_table(loggers, "test/summary", ("scene", "view", "protocol", *METRICS), rows, step)


def close(loggers: Sequence[Logger], status: str) -> None:
    """Close every logger, also after an error, because the next job of a sweep may share this process.

    Args:
        loggers: of the run.
        status: ``success`` or ``failed``.
    """
    for logger in loggers:
        logger.finalize(status)
        if isinstance(logger, WandbLogger):
            import wandb

            if wandb.run is not None:
                wandb.run.finish(exit_code=0 if status == "success" else 1)
