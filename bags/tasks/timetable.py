"""How long ``task=reconstruct`` will take, part by part, told before it begins; and how long each part took.

The models are as simple as they can be. Their figures are for two cores with AVX2, as seen in runs beside other work;
what is done on all cores takes less on more of them. To fit them anew, change the numbers below and nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.table import Table

from bags.console import terminal
from bags.errors import DataError
from bags.io.images import IMAGE_SUFFIXES, image_size
from bags.preparation.choices import LONG_SIDE
from bags.preparation.intake import HEIC_SUFFIXES
from bags.settings import Settings

PLACING, TRAINING, DRAWING = "placing the photos", "training and report", "sharp photos, film and export"

CORES = 2  # that the figures were measured on
READ = 0.25  # seconds of one core: a megapixel of a photo decoded, looked at, copied and undistorted
DETAILS = 3.0  # of all cores: finding a photo's details
COMPARE = 0.25  # of all cores: two photos; of more than ALL_PAIRS each with its neighbours (mapping_child.py)
ALL_PAIRS, NEIGHBOURS = 150, 20
PLACE = 1.0  # of one core: a photo placed, and all adjusted again now and then
LOAD = 0.05  # of one core: a megapixel of a photo read again; training and every task after it do so
JUDGE, JUDGE_PIXELS = 0.3, 3.0  # of one core: a photo looked at for the report; and a megapixel of training resolution
DRAW, DRAW_PIXELS = 0.06, 0.6  # of one core: a picture and its depth drawn and written; and a megapixel of them
START = 15.0  # programs loaded and compiled, the report written
UNKNOWN = 12.0  # megapixels of a photo whose size cannot be told


@dataclass(frozen=True)
class Material:
    """What there is to work on: how many photos (or frames of a video), and megapixels of a usual one."""

    photos: int
    megapixels: float


def material(source: Path, frames: int) -> Material:
    """What ``source`` holds, by names and headers alone; ``frames`` are taken of a video."""
    if source.is_file():
        return Material(frames, 2.0)
    suffixes = (*IMAGE_SUFFIXES, *HEIC_SUFFIXES)
    files = [path for path in source.rglob("*") if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    sizes = []
    for path in files[:: max(1, len(files) // 8)]:
        with contextlib.suppress(DataError, OSError):
            width, height = image_size(path)
            sizes.append(width * height / 1e6)
    return Material(len(files), median(sizes) if sizes else UNKNOWN)


def expected(settings: Settings, found: Material, minutes: float | None, cores: int | None = None) -> dict[str, float]:
    """Seconds of every part, in their order.

    Args:
        settings: the run's.
        found: what there is to work on.
        minutes: that training may take; null: nobody knows.
        cores: of this machine; null: it is asked.
    """
    photos, total, share = found.photos, found.photos * found.megapixels, CORES / (cores or os.cpu_count() or CORES)
    pairs = photos * (photos - 1) / 2 if photos <= ALL_PAIRS else photos * NEIGHBOURS
    trained = min(found.megapixels, LONG_SIDE["cpu"] ** 2 * 0.67 / 1e6)
    pictures = photos + settings.render.frames
    parts = {PLACING: START + READ * total + share * (DETAILS * photos + COMPARE * pairs) + PLACE * photos}
    if minutes is not None:
        parts[TRAINING] = 60 * minutes + START + LOAD * total + photos * (JUDGE + JUDGE_PIXELS * trained)
    parts[DRAWING] = 3 * LOAD * total + pictures * (DRAW + DRAW_PIXELS * trained)
    return parts


class Timetable:
    """Tells what is expected before it begins, and what every part has taken when it is done."""

    def __init__(self, parts: dict[str, float]) -> None:
        self.parts = parts
        self.taken: dict[str, float] = {}

    def announce(self) -> None:
        """Print what is expected of every part and of all together."""
        table = Table(title="this will take about", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, seconds in self.parts.items():
            table.add_row(name, in_minutes(seconds))
        table.add_section()
        together = "together" if TRAINING in self.parts else "together, and the training"
        table.add_row(together, in_minutes(sum(self.parts.values())))
        terminal().print(table)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Do a part, and say what it took."""
        begun = perf_counter()
        yield
        self.taken[name] = perf_counter() - begun
        thought = f" ({in_minutes(self.parts[name])} expected)" if name in self.parts else ""
        terminal().print(f"{name}: {in_minutes(self.taken[name])}{thought}", soft_wrap=True)


def in_minutes(seconds: float) -> str:
    """``seconds`` as minutes with one decimal."""
    return f"{seconds / 60:.1f} min"
