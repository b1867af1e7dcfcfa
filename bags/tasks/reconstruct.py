"""``task=reconstruct``: from photos or a video to a finished scene, in one command (docs/your_photos.md)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bags.config.nodes import on_top_of_saved, said, to_settings
from bags.errors import BagsError, DataError
from bags.io.documents import read_json
from bags.preparation.choices import MINUTES, choose
from bags.preparation.forecast import slowness
from bags.preparation.scene import RECORD
from bags.run.build import trained
from bags.run.device import choose_device
from bags.run.rehearsal import steps_that_fit
from bags.run.results import report_again
from bags.run.timetable import DRAWING, PLACING, TRAINING, Timetable, expected, material
from bags.scene_page.client import fetched
from bags.settings import Settings
from bags.system.memory import in_words
from bags.system.terminal import terminal
from bags.tasks import export, render, train
from bags.tasks.prepare import prepared

FORMATS = ("ply", "spz", "html")

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Prepare ``source``, choose settings, train, render every photo sharp and two videos, export, and list the files.

    The expected duration is printed first. Settings on the command line take precedence; with ``experiment=`` no
    settings are chosen. With ``ckpt_path`` a stopped training resumes, with its scene and settings.
    """
    device = choose_device(settings.trainer, settings.rasterizer).type  # invalid requests fail before the long work
    stated = said()
    formats = exported(settings, stated)
    times = Timetable({})
    if settings.source and Path(settings.source).exists() and settings.ckpt_path is None and device == "cpu":
        found = material(Path(settings.source), settings.prepare.frames)
        times = Timetable(expected(settings, found, minutes(settings, stated), slowness()))
        times.announce()
    if settings.ckpt_path is None:
        with times.part(PLACING):
            record = prepared(settings).record
    else:
        record = prepared_before(settings)
    with times.part(TRAINING):
        settings = replace(with_values(settings, chosen(settings, record, device, stated)), task="train")
        train.run(settings)
    if not (settings.folder / "metrics.json").is_file():
        return  # stopped by the user; train has printed how to resume
    with times.part(DRAWING):
        finished = replace(settings, ckpt_path=None)
        loaded = trained(finished)
        render.draw(with_values(finished, {"render.split": "both", "render.path": None}), loaded)
        for path in dict.fromkeys((settings.render.path or "train", "before_after")):
            render.draw(with_values(finished, {"render.path": path}), loaded)
        export.write(with_values(finished, {"export.formats": formats}), loaded)
        report_again(finished)
    list_files(settings.folder)


def exported(settings: Settings, stated: set[str]) -> tuple[str, ...]:
    """The export formats: those on the command line, else PLY, SPZ and, if its JavaScript is available, the page."""
    if {"export", "export.formats"} & stated:
        return settings.export.formats
    try:
        fetched()
    except BagsError as error:
        log.warning("no scene.html will be written: %s", error)
        return FORMATS[:-1]
    return FORMATS


def minutes(settings: Settings, stated: set[str]) -> float | None:
    """Minutes that training may take on a CPU; None if the number of steps is given instead."""
    if settings.schedule.minutes is not None:
        return settings.schedule.minutes
    return None if {"schedule", "schedule.steps", "experiment"} & stated else MINUTES


def chosen(settings: Settings, record: dict[str, Any], device: str, stated: set[str]) -> dict[str, Any]:
    """Values chosen for the photos of ``record``, by their keys, except for the keys in ``stated``.

    A resumed training keeps the values of its ``config.yaml``, because other values would make it another run.
    """
    if "experiment" in stated:
        return {}
    allowed = minutes(settings, stated) if device == "cpu" else None

    def unsaid(values: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in values.items() if not any(f"{key}.".startswith(f"{s}.") for s in stated)}
        if "schedule.steps" in stated:
            kept.pop("schedule.minutes", None)
        return kept

    def steps(values: Mapping[str, Any]) -> int:
        tried = with_values(settings, unsaid(values) | {"schedule.minutes": allowed})
        fit = steps_that_fit(tried)
        log.info("at dataset.factor=%d, %d steps fit into %g minutes", tried.dataset.factor, fit, allowed)
        return fit

    placed = [row for row in record["photos"] if row["placed"]]
    sizes = [(row["width"], row["height"]) for row in placed]
    before = stored(settings) if settings.ckpt_path is not None else None
    measured = allowed is not None and before is None and not {"dataset", "dataset.factor"} & stated
    values = unsaid(choose(sizes, device, steps if measured else None))
    if before is not None:
        kept = {key: attrgetter(key)(before) for key in values}
        values |= {key: value for key, value in kept.items() if value is not None}
    log.info("settings chosen for these photos: %s", ", ".join(f"{k}={v}" for k, v in values.items()) or "none")
    return values


def stored(settings: Settings) -> Settings | None:
    """Contents of ``config.yaml`` in the run's folder; None if it is missing or unreadable."""
    try:
        return to_settings(on_top_of_saved(OmegaConf.create(), settings.folder / "config.yaml", ()))
    except BagsError:
        return None


def prepared_before(settings: Settings) -> dict[str, Any]:
    """Content of ``prepare.json`` of the scene ``dataset.root``.

    Raises:
        DataError: there is no such file, it is malformed, or it lists no placed photo.
    """
    path = Path(settings.dataset.root or "") / RECORD
    try:
        record = read_json(path)
    except DataError as error:
        raise DataError(f"no scene was prepared there ({error}); leave out ckpt_path to start again") from error
    photos = record.get("photos")
    if not isinstance(photos, list) or not all(map(_is_row, photos)) or not any(row["placed"] for row in photos):
        raise DataError(f"{path}: lists no placed photo, or is malformed; leave out ckpt_path to start again")
    return record


def _is_row(value: Any) -> bool:
    """Whether a row of ``photos`` has the values from which settings are chosen."""
    if not isinstance(value, dict) or not isinstance(value.get("placed"), bool):
        return False
    sized = all(type(value.get(key)) is int and 0 < value[key] < 1_000_000 for key in ("width", "height"))
    return sized and isinstance(value.get("sharpness"), (int, float)) and 0 <= value["sharpness"] <= 1


def with_values(settings: Any, values: Mapping[str, Any]) -> Any:
    """``settings`` (a dataclass of sections) with the values of some dotted keys replaced."""
    for key, value in values.items():
        name, _, rest = key.partition(".")
        inner = with_values(getattr(settings, name), {rest: value}) if rest else value
        settings = replace(settings, **{name: inner})
    return settings


def list_files(folder: Path) -> None:
    """Print the content of a run's folder: files with their sizes, folders with their numbers of files.

    The report comes last, as the one to open first.
    """
    console = terminal()
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            count = sum(file.is_file() for file in path.rglob("*"))
            size = f"{count} file{'s' * (count != 1)}"
        else:
            size = in_words(path.stat().st_size)
        console.print(f"{path}{'/' if path.is_dir() else ''}  {size}", soft_wrap=True)
    if (report := folder / "report.html").is_file():
        console.print(f"open this first: {report}", soft_wrap=True)
