"""The end of a run: metrics, pictures, ``metrics.json`` and a table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import Trainer
from rich.table import Table

from bags.dashboards import log_results
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.evaluation.sheets import write_sheets
from bags.evaluation.views import describe_training_views, judge_test_views, quality_table
from bags.io.documents import read_json, read_yaml
from bags.io.records import plain, write_json, write_table
from bags.modules.bags_module import BagsModule
from bags.modules.metrics import CORRECTED
from bags.preparation.scene import left_out
from bags.report import in_short, write_report
from bags.run.facts import device_name, versions
from bags.run.start import Start
from bags.settings import Settings
from bags.system.memory import gpu_memory_mb, peak_memory_mb
from bags.system.terminal import terminal


def finish(start: Start, datamodule: SceneDataModule, module: BagsModule, trainer: Trainer) -> None:
    """Evaluate a trained run, write everything into its folder and print the table."""
    states = {type(callback).__name__: callback.state_dict() for callback in trainer.callbacks}  # type: ignore[attr-defined]
    seconds, skipped = states.get("Stopwatch", {}).get("seconds"), states.get("SkipNonFinite", {}).get("skipped")
    facts = run_facts(start.settings, module, trainer.global_step, seconds, skipped)
    metrics = judge(start, datamodule, module, facts)
    log_results(trainer.loggers, metrics, trainer.global_step)


def run_facts(
    settings: Settings, module: BagsModule, steps: int, seconds: float | None, skipped: float | None
) -> dict[str, Any]:
    """The content of a metrics file besides the metrics."""
    return {
        "steps": steps,
        "steps_skipped": skipped,
        "train_seconds": None if seconds is None else round(seconds, 2),
        "budget": budget(module, seconds),
        "num_gaussians": len(module.gaussians),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "gpu_memory_mb": gpu_memory_mb(),
        "scene": settings.scene,
        "seed": settings.seed,
        "model": settings.model.name,
        "bfloat16": module.bpn is not None and module.bpn.rounds,
        "left_out": left_out(settings.dataset.root),
        "device": device_name(module.device),
        "versions": versions(),
    }


def budget(module: BagsModule, seconds: float | None) -> dict[str, Any] | None:
    """Use of ``schedule.minutes``: allowed and used time, and the decisions on the length; None without a budget."""
    minutes = module.schedule.settings.minutes
    if minutes is None:
        return None
    return {
        "minutes": minutes,
        "used_minutes": None if seconds is None else round(seconds / 60, 2),
        "decisions": [
            {"after_step": after, "steps": total, "seconds_a_step": round(cost, 4)}
            for after, total, cost in module.schedule.decisions
        ],
    }


def judge(
    start: Start,
    datamodule: SceneDataModule,
    module: BagsModule,
    facts: dict[str, Any],
    name: str = "metrics.json",
) -> dict[str, Any]:
    """Compute metrics and pictures of ``module``, write them to the run's folder and print a summary.

    Args:
        start: of the run.
        datamodule: of the run.
        module: trained.
        facts: other content of the metrics file.
        name: of the metrics file; ``views.csv`` and ``report.html`` are named accordingly.

    Returns:
        Content of the metrics file.
    """
    settings = start.settings
    module.to(start.device).eval()  # training leaves it on the CPU
    test = judge_test_views(module, datamodule.test_dataloader(), settings.metrics, settings.folder / "test")
    training = describe_training_views(module, datamodule, settings.folder / "train_views", settings.output.train_views)
    metrics = {**test, **facts, **training}
    write_sheets(settings.folder, metrics["train_views"], datamodule.scene.train)
    beside = Path(name).stem.replace("metrics", "{}")
    write_table(settings.folder / f"{beside.format('views')}.csv", quality_table(metrics["train_views"]))
    if settings.output.report:
        write_report(settings.folder, metrics, plain(asdict(settings)), f"{beside.format('report')}.html")
    write_json(settings.folder / name, metrics)  # last, because it marks a finished run
    show(settings, metrics)
    return metrics


def report_again(settings: Settings) -> None:
    """Write the report of ``metrics.json``, if there is one, again with the current files of the run's folder."""
    file = settings.folder / "metrics.json"
    if settings.output.report and file.is_file():
        write_report(settings.folder, read_json(file), read_yaml(settings.folder / "config.yaml"))


def show(settings: Settings, metrics: dict[str, Any]) -> None:
    """Print one run's figures, with a table if there are test views."""
    console = terminal()
    if metrics["per_view"]:
        console.print(table_of_tests(settings, metrics))
    if kinds := in_short(metrics["train_views"]):
        console.print(f"training photos: {kinds}")
    allowed = f" of {60 * metrics['budget']['minutes']:.0f}" if metrics["budget"] else ""
    console.print(
        f"{metrics['steps']} steps in {number(metrics['train_seconds'], 0)}{allowed} s,"
        f" {metrics['num_gaussians']:,} Gaussians, {metrics['peak_memory_mb']:.0f} MB, seed {metrics['seed']}",
    )
    if "blur_rank_correlation" in metrics:
        console.print(
            f"rank correlation of true and estimated blur of the photos: {metrics['blur_rank_correlation']:.2f},"
            f" right kind of blur: {metrics['blur_kind_share']:.0%} of the photos",
        )
    console.print(f"results in {settings.folder}/")


def table_of_tests(settings: Settings, metrics: dict[str, Any]) -> Table:
    """Figures of every test view, and their means; no column for a metric that was not computed."""
    rows = [*metrics["per_view"], {"name": "mean", **metrics}]
    digits = {"psnr": 2, "ssim": 4, "lpips": 4}
    columns = {name: (name.upper(), count) for name, count in digits.items()}
    columns |= {CORRECTED[name]: (f"{name.upper()}, colour corrected", count) for name, count in digits.items()}
    columns = {key: column for key, column in columns.items() if any(row.get(key) is not None for row in rows)}
    table = Table(
        title=f"{settings.name} ({settings.model.name}, {metrics['protocol']} protocol)", title_justify="left"
    )
    table.add_column("test view")
    for title, _ in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        if row["name"] == "mean":
            table.add_section()
        table.add_row(row["name"], *(number(row[key], count) for key, (_, count) in columns.items()))
    return table


def number(value: float | None, digits: int) -> str:
    """``value`` with ``digits`` decimals; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"
