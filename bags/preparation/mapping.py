"""Runs ``mapping_child.py`` as a separate process, and explains its failures."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bags.errors import DataError
from bags.ops.threads import available_cores
from bags.preparation.intake import Photo, Report
from bags.preparation.pairs import pairs_of
from bags.settings import PrepareSettings

CHILD = Path(__file__).with_name("mapping_child.py")
FEW_DETAILS = 150  # features; a photo with fewer is rarely matched with another
COUNTED_IN = {"finding": "keypoints", "comparing": "two_view_geometries"}  # tables of COLMAP's database
ADVICE = "photos should overlap by two thirds, taken a step apart (not turning on the spot), of a scene with texture"


def place(work: Path, photos: Sequence[Photo], settings: PrepareSettings, seed: int, report: Report) -> dict[str, Any]:
    """Find the camera pose of every photo; writes the undistorted photos and the model to ``work/scene/``.

    Args:
        work: folder of intermediate files; contains ``photos/``.
        photos: the photos in it, in order: if there are many, only neighbours are compared.
        settings: of the preparation.
        seed: of RANSAC.
        report: called with the progress.

    Returns:
        What ``mapping_child.described`` returns.

    Raises:
        DataError: no photo could be placed, or pycolmap failed.
    """
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.camera].append(photo)
    job = {
        "cameras": [
            {
                "photos": [photo.name for photo in group],
                "small": 2 * max(group[0].width, group[0].height) <= settings.feature_size,
            }
            for group in groups.values()
        ],
        "names": [photo.name for photo in photos],
        "pairs": pairs_of([photo.name for photo in photos]),
        "features": settings.features,
        "feature_size": settings.feature_size,
        "enough": settings.enough,
        "threads": settings.threads or available_cores(),
        "seed": seed,
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    with (work / "log").open("w+", encoding="utf-8", errors="replace") as log:
        child = subprocess.Popen([sys.executable, str(CHILD), str(work)], stdout=log, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(0.2)
                _tell(work, report)
        finally:
            child.kill()
            child.wait()
        log.seek(0)
        said = log.read().strip().splitlines()
    if child.returncode:
        failed = (said or ["no reason given"])[-1]
        why = f"it crashed: {signal.Signals(-child.returncode).name}" if child.returncode < 0 else failed
        raise DataError(f"pycolmap failed on these photos ({why}); try prepare.feature_size=800, or fewer photos")
    result: dict[str, Any] = json.loads((work / "result.json").read_text(encoding="utf-8"))
    placed = sum(photo["placed"] for photo in result["photos"].values())
    if placed == 0:
        raise DataError(f"none of the {len(photos)} photos could be placed in space: they share too little; {ADVICE}")
    return result


def why_not(found: dict[str, Any]) -> str:
    """Why a photo was not placed, in words; ``found`` is its entry of the child's result."""
    if found["elsewhere"]:
        return "belongs to another group of photos"
    if found["details"] < FEW_DETAILS:
        return f"too few details ({found['details']}): blurred, dark or plain"
    if found["partners"] == 0:
        return "shares no details with any other photo"
    return f"shares details with {found['partners']} other photo(s), too few to place it"


def _tell(work: Path, report: Report) -> None:
    """Report the child's progress: from the rows of its database, or from the number of placed photos."""
    with contextlib.suppress(OSError, ValueError, sqlite3.Error):
        lines = (work / "progress").read_text(encoding="utf-8").splitlines()
        if not lines:  # the child has opened the file but not yet written to it
            return
        what, total = json.loads(lines[-1])  # a half-written line raises an error
        table = COUNTED_IN.get(what.split()[0])
        done = 0
        if table:
            address = (work / "database.db").resolve().as_uri()  # escapes special characters of the path
            with contextlib.closing(sqlite3.connect(f"{address}?mode=ro", uri=True)) as database:
                done = database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        elif what.startswith("placing"):
            done = (work / "placed").stat().st_size
        report(what, min(done, total), total)
