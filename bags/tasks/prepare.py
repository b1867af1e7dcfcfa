"""``task=prepare``: makes a COLMAP scene from a folder of photos or a video (docs/your_photos.md)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bags.errors import SettingError, one_line
from bags.io.places import photos_or_video
from bags.preparation.scene import Prepared, prepare
from bags.run.process import quiet_logs
from bags.settings import Settings
from bags.system.signals import heard_by, stop
from bags.system.terminal import terminal

LISTED = 8  # names per line
UNCERTAIN = 100  # points; with fewer, a photo's position is reported as uncertain


def run(settings: Settings) -> None:
    """Prepare ``source``, print the report and the command for training."""
    word = shlex.quote(f"dataset.root={prepared(settings).root}")
    terminal().print(f"train on it: python run.py scene=own {word}", soft_wrap=True)


def prepared(settings: Settings) -> Prepared:
    """Make the scene ``dataset.root`` from ``source``, with progress and a report on the console.

    Raises:
        SettingError: ``source`` or ``dataset.root`` is missing.
        DataError: no scene can be made from it.
        Stopped: by a signal; no incomplete files and no child process are left.
    """
    source = photos_or_video(settings.source)
    if not settings.dataset.root:
        raise SettingError("dataset.root", settings.dataset.root, "give the folder to write the scene to")
    quiet_logs()
    with heard_by(stop), Bars(hidden=not settings.trainer.progress) as bars:
        scene = prepare(source, Path(settings.dataset.root), settings.prepare, settings.seed, bars.show)
    report(scene)
    return scene


class Bars:
    """Progress bars with the time left, one for each activity, in the order in which they start."""

    def __init__(self, hidden: bool) -> None:
        time = TimeRemainingColumn(elapsed_when_finished=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), time
        self.progress = Progress(*columns, console=terminal(stderr=True), disable=hidden)
        self.tasks: list[tuple[str, TaskID]] = []

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        self.progress.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` items of ``what`` are done; a new ``what`` completes the bar before."""
        if not self.tasks or self.tasks[-1][0] != what:
            self._finish()
            self.tasks.append((what, self.progress.add_task(what, total=total)))
        self.progress.update(self.tasks[-1][1], completed=done, total=total)

    def _finish(self) -> None:
        if self.tasks:
            before = self.tasks[-1][1]
            self.progress.update(before, completed=self.progress.tasks[before].total)
            self.progress.stop_task(before)


def report(scene: Prepared) -> None:
    """Print the result for every photo, and the scene's figures."""
    record, console = scene.record, terminal()
    table = Table(title=f"{scene.root}", title_justify="left")
    table.add_column("photo")
    table.add_column("sharpness", justify="right")
    table.add_column("points", justify="right")
    table.add_column("")
    for row in record["photos"]:
        said = "test view" if row["name"] in record["test_views"] else row.get("reason", "")
        if row["placed"] and row["points"] < UNCERTAIN:
            said = "few points: its position is uncertain"
        table.add_row(
            one_line(row["source"], 200), f"{row['sharpness']:.2f}", str(row["points"]) if row["placed"] else "-", said
        )
    for item in record["not_used"]:
        table.add_row(one_line(item["file"], 200), "-", "-", f"not used: {one_line(item['reason'], 200)}")
    console.print(table)
    console.print(summary(record), soft_wrap=True)
    others = [f"{item['file']} ({item['reason']})" for item in record["not_used"] if not item.get("photo", True)]
    if others:
        console.print(f"not taken as photos: {_some(others)}", soft_wrap=True)
    if record["placed"] < len(record["photos"]):
        console.print("some photos could not be placed; docs/your_photos.md says what helps", soft_wrap=True)


def summary(record: dict[str, Any]) -> str:
    """One line to compare with the folder: how many of its photos are used, and which are not."""
    unplaced = [row["source"] for row in record["photos"] if not row["placed"]]
    unusable = [item["file"] for item in record["not_used"] if item.get("photo", True)]
    out = unplaced + unusable
    left = f" ({len(out)} left out: {_some(out)})" if out else ""
    cameras = len(record["cameras"])
    tolerant = ", tolerant settings" if record["attempt"] == "tolerant" else ""
    where = one_line(str(record.get("source", "the source")), 200)
    return (
        f"{record['placed']} of {len(record['photos']) + len(unusable)} photos of {where} used{left},"
        f" {cameras} camera{'' if cameras == 1 else 's'}, {record['points']:,} points,"
        f" {record['reprojection_error_px']:.2f} px mean reprojection error,"
        f" test views: {_some(record['test_views']) or 'none'}, {record['seconds']:.0f} s{tolerant}"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*(one_line(name, 80) for name in names[:LISTED]), *(["..."] if len(names) > LISTED else [])])
