"""From photos or a video to a scene folder, which is written completely or not at all."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bags.errors import DataError, SettingError, in_utf8
from bags.io.atomic import explained
from bags.io.documents import read_json
from bags.io.places import photos_or_video
from bags.ops.threads import available_cores
from bags.preparation import mapping, video
from bags.preparation.cut_out import put_beside, put_together, take_apart, take_covers
from bags.preparation.forecast import placing_seconds, slowness
from bags.preparation.intake import VIDEO_SUFFIXES, Dropped, Photo, Report, take_in
from bags.preparation.own import in_order
from bags.settings import PrepareSettings

log = logging.getLogger(__name__)

FEWEST = 3  # photos
RECORD = "prepare.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared scene: its folder, and the content of its ``prepare.json``."""

    root: Path
    record: dict[str, Any]


def prepare(source: Path, root: Path, settings: PrepareSettings, seed: int, report: Report) -> Prepared:
    """Create the COLMAP scene ``root`` from the photos, or the video, ``source``.

    The scene is built in a hidden folder beside ``root`` and moved into place in one step. Until then, and after any
    failure, the old content stays. The scene contains ``images/``, ``sparse/0/``, ``test.txt`` and ``prepare.json``.

    Args:
        source: a folder of photos or a video file.
        root: of the scene; replaced if it was created by this function.
        settings: of the preparation.
        seed: of every random draw.
        report: called with the progress.

    Raises:
        DataError: there are too few usable photos, none could be placed, or ``root`` contains something else.
        WriteError: the disk is full or refuses writing.
    """
    begun = time.perf_counter()
    _check_places(source, root)
    with _beside(root) as work:
        photos, dropped = _take(source, work, settings, report)
        photos, dropped = _best(photos, dropped, settings.photos, work)
        if len(photos) < FEWEST:
            raise DataError(
                f"{source}: {len(photos)} usable photo(s), but at least {FEWEST} are needed (20 to 60 are good)"
                + _told(dropped)
            )
        masked = source.is_dir() and take_covers(source, work, [(photo.name, photo.source) for photo in photos])
        held_out(photos, settings.test_views)  # fail on an impossible number before the long work
        _foretell(photos, settings)
        if masked or any(photo.cut_out for photo in photos):
            take_apart(work, [photo.name for photo in photos])
        found = mapping.place(work, photos, settings, seed, report)
        scene = work / "scene"
        if (work / "flat_alphas").is_dir():
            put_together(scene / "images", work / "flat_alphas" / "images")
        _tidy(scene)
        if (work / "flat_covers").is_dir():
            put_beside(scene, work / "flat_covers" / "images")
        placed = [photo for photo in photos if found["photos"][photo.name]["placed"]]
        tests = held_out(placed, settings.test_views)
        note = "# Test views: held out of training. One photo name per line; none: all photos are used for training.\n"
        (scene / "test.txt").write_text(note + "".join(f"{name}\n" for name in tests), encoding="utf-8")
        record = _record(source, photos, dropped, found, tests, time.perf_counter() - begun)
        (scene / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _replace(scene, root, work)
    return Prepared(root, record)


def left_out(root: str | None) -> list[dict[str, str]]:
    """``file`` and ``reason`` of every photo that is not in the scene ``root``; none if there is no record."""
    if root is None:
        return []
    try:
        record = read_json(Path(root) / RECORD)
        unplaced = [{"file": row["source"], "reason": row["reason"]} for row in record["photos"] if not row["placed"]]
        return unplaced + [{"file": row["file"], "reason": row["reason"]} for row in record["not_used"]]
    except (DataError, LookupError, TypeError):
        return []


def held_out(photos: Sequence[Photo], count: int | None) -> list[str]:
    """Names of the sharpest photo of each of ``count`` equal runs of ``photos``, in natural order.

    Raises:
        SettingError: fewer photos would be left to train on than are held out.
    """
    if not count:
        return []
    if 2 * count > len(photos):
        raise SettingError("prepare.test_views", count, f"of {len(photos)} photos at most half can be held out")
    return [photo.name for photo in sharpest_of_runs(photos, count)]


def sharpest_of_runs(photos: Sequence[Photo], count: int) -> list[Photo]:
    """The sharpest photo of each of ``count`` equal runs of ``photos``, in natural order."""
    ordered = sorted(photos, key=lambda photo: in_order(PurePosixPath(photo.name)))
    ends = [round(len(ordered) * part / count) for part in range(count + 1)]
    return [max(ordered[begin:end], key=lambda photo: photo.sharpness) for begin, end in itertools.pairwise(ends)]


def _check_places(source: Path, root: Path) -> None:
    photos_or_video(source)
    if root.exists() and not (root / RECORD).is_file() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(
            f"{root}: already contains something else; choose another folder with dataset.root=<a new folder>"
        )
    inside = source.resolve()
    if (
        root.resolve() == inside
        or root.resolve() in inside.parents
        or (source.is_dir() and inside in root.resolve().parents)
    ):
        raise DataError(f"{root}: the scene needs a folder apart from the photos; set dataset.root to another one")


def _take(source: Path, work: Path, settings: PrepareSettings, report: Report) -> tuple[list[Photo], list[Dropped]]:
    into = work / "photos"
    into.mkdir()
    if source.is_dir():
        return take_in(source, into, report)
    if source.suffix.lower() not in VIDEO_SUFFIXES:
        raise DataError(f"{source}: neither a folder nor a video ({', '.join(VIDEO_SUFFIXES)})")
    return video.take_frames(source, into, settings.frames, report), []


def _best(
    photos: list[Photo], dropped: list[Dropped], count: int | None, work: Path
) -> tuple[list[Photo], list[Dropped]]:
    """The sharpest photo of each of ``count`` equal runs; the others are left out."""
    if count is None or len(photos) <= count:
        return photos, dropped
    best = sharpest_of_runs(photos, count)
    others = [photo for photo in photos if photo not in best]
    for photo in others:
        (work / "photos" / photo.name).unlink()
    reason = f"a sharper photo near it was taken (prepare.photos={count})"
    return best, dropped + [Dropped(photo.source, reason) for photo in others]


def _foretell(photos: Sequence[Photo], settings: PrepareSettings) -> None:
    width, height = (
        int(statistics.median(sides)) for sides in zip(*((p.width, p.height) for p in photos), strict=True)
    )
    cores = available_cores()
    expected = placing_seconds(len(photos), width, height, settings, cores, slowness())
    log.info(
        "placing %d photos in space will take about %.0f s here (finding details %.0f, comparing %.0f, placing %.0f,"
        " undistorting %.0f), two to three times that if careful settings are not enough",
        len(photos), expected.total - expected.reading, expected.details, expected.comparing, expected.placing,
        expected.undistorting,
    )  # fmt: skip


def _told(dropped: Sequence[Dropped]) -> str:
    some = "; ".join(f"{item.source}: {item.reason}" for item in dropped[:5])
    return f" ({some}{'; ...' if len(dropped) > 5 else ''})" if dropped else ""


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """A working folder beside ``root``; removed at the end, with the parent folders created for it if they are empty.

    Raises:
        DataError: it cannot be created.
        WriteError: the disk is full or refuses writing.
    """
    try:
        made = [folder for folder in root.parents if not folder.exists()]
        root.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}."))
    except OSError as error:
        raise DataError(
            f"cannot write to {root.parent}: {error.strerror}; set dataset.root to another folder"
        ) from error
    try:
        with explained(work):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # not empty: the scene is there
            for folder in made:
                folder.rmdir()


def _tidy(scene: Path) -> None:
    """Rearrange pycolmap's output to the layout of a scene."""
    model = scene / "sparse"
    model.rename(scene / "0")
    model.mkdir()
    (scene / "0").rename(model / "0")
    for path in scene.iterdir():  # files for COLMAP's dense reconstruction
        if path.name not in ("images", "sparse"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _replace(scene: Path, root: Path, work: Path) -> None:
    if root.exists():
        os.rename(root, work / "before")
    os.rename(scene, root)


def _record(
    source: Path,
    photos: Sequence[Photo],
    dropped: Sequence[Dropped],
    found: dict[str, Any],
    tests: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    rows = []
    for photo in photos:
        state = found["photos"][photo.name]
        row = {"name": photo.name, "source": photo.source, "width": photo.width, "height": photo.height}
        row |= {"sharpness": round(photo.sharpness, 4), "placed": state["placed"], "points": state["points"]}
        rows.append(row if state["placed"] else row | {"reason": mapping.why_not(state)})
    return {
        "source": in_utf8(str(source)),
        "photos": rows,
        "placed": sum(row["placed"] for row in rows),
        "not_used": [{"file": item.source, "reason": item.reason, "photo": item.photo} for item in dropped],
        "points": found["points"],
        "reprojection_error_px": round(found["error"], 4),
        "attempt": found["attempt"],
        "cameras": found["cameras"],
        "test_views": list(tests),
        "seconds": round(seconds, 1),
        "pycolmap": found["pycolmap"],
    }
