"""``task=summarize``: collects finished runs in one set of tables, beside published figures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bags.config.nodes import instantiate
from bags.errors import BagsError, SettingError
from bags.io.records import write_text
from bags.settings import Settings
from bags.summary import formats
from bags.summary.collect import tables
from bags.summary.runs import find_runs, flat
from bags.summary.table import Table

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Collect ``summarize.runs``, print the tables and write ``summary.md``, ``.csv`` and ``.tex``.

    Raises:
        SettingError: ``summarize.columns`` contains a key that is not a setting.
        BagsError: there is no finished run.
    """
    known = flat(asdict(Settings()))
    for key in settings.summarize.columns:
        if key not in known:
            raise SettingError("summarize.columns", key, "is not a setting; name keys such as model.name or group")
    root = Path(settings.output_root)
    runs, problems = find_runs(root, settings.summarize.runs, settings.summarize.columns)
    made, more = tables(runs) if runs else ([], [])
    for problem in problems + more:
        log.warning("%s", problem)
    if not made:
        raise BagsError(f"no finished run in {root} matches summarize.runs = {list(settings.summarize.runs)}")
    formats.show(made, Console())
    writers = {".md": formats.to_markdown, ".csv": formats.to_csv, ".tex": formats.to_latex}
    for suffix, write in writers.items():
        write_text(settings.folder / f"summary{suffix}", write(made))
    if settings.logger:
        show_on_loggers(settings, made)
    print(f"finished runs read: {len(runs)}; tables in {settings.folder}/ (summary.md, .csv, .tex)")


def show_on_loggers(settings: Settings, made: Sequence[Table]) -> None:
    """Send the tables to the loggers, as a separate run."""
    from bags.dashboards import close, log_settings, log_table  # imported late: torch and lightning are slow to load

    loggers = instantiate("logger", settings.logger)
    status = "failed"
    try:
        log_settings(loggers, settings)
        for table in made:
            log_table(loggers, f"summary/{table.title}", ("quantity", *table.head), formats.plain_rows(table))
        status = "success"
    finally:
        close(loggers, status)
