"""Expected time of each part of ``task=reconstruct``, printed before it starts; and the time each part took.

The models are deliberately simple. That of placing is ``bags.preparation.forecast``; the figures here are for the same
processor. To fit them again, change only the numbers below.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter

from rich.table import Table

from bags.errors import DataError
from bags.io.images import IMAGE_SUFFIXES, image_size
from bags.ops.threads import available_cores
from bags.preparation.choices import LONG_SIDE
from bags.preparation.forecast import placing_seconds
from bags.preparation.intake import HEIC_SUFFIXES
from bags.settings import Settings
from bags.system.terminal import terminal

PLACING, TRAINING, DRAWING = "placing the photos", "training and report", "sharp photos, films and export"

# Seconds on one core.
LOAD = 0.05  # per megapixel of a photo: read it again, as training and every later task do
JUDGE, JUDGE_PIXELS = 0.3, 3.0  # per photo: evaluate it for the report; and per megapixel of training resolution
DRAW, DRAW_PIXELS = 0.06, 0.6  # per picture: render and write it with its depth; and per megapixel
FILMS = 1.5  # pictures per video frame: one for the flight, half of one for before and after, whose camera rests
START = 15.0  # load and compile programs, write the report
FRAME, UNKNOWN = (1920, 1080), (4000, 3000)  # pixels of a video's frame, and of a photo of unknown size


@dataclass(frozen=True)
class Material:
    """The input: number of photos (or frames of a video), and the size of a typical one in pixels."""

    photos: int
    width: int
    height: int

    @property
    def megapixels(self) -> float:
        """Megapixels of a typical photo."""
        return self.width * self.height / 1e6


def material(source: Path, frames: int) -> Material:
    """The content of ``source``, from file names and headers only; of a video, ``frames`` frames are used."""
    if source.is_file():
        return Material(frames, *FRAME)
    suffixes = (*IMAGE_SUFFIXES, *HEIC_SUFFIXES)
    files = [path for path in source.rglob("*") if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    sizes = []
    for path in files[:: max(1, len(files) // 8)]:
        with contextlib.suppress(DataError, OSError):
            sizes.append(image_size(path))
    return Material(len(files), *sorted(sizes or [UNKNOWN], key=prod)[len(sizes) // 2])


def expected(settings: Settings, found: Material, minutes: float | None, slower: float = 1.0) -> dict[str, float]:
    """Seconds of every part, in order.

    Args:
        settings: the run's.
        found: the input.
        minutes: that training may take; None: unknown.
        slower: ``slowness`` of this machine (``bags.preparation.forecast``).
    """
    photos, total = found.photos, found.photos * found.megapixels
    placing = placing_seconds(photos, found.width, found.height, settings.prepare, available_cores(), slower)
    trained = min(found.megapixels, LONG_SIDE["cpu"] ** 2 * 0.67 / 1e6)
    pictures = photos + FILMS * settings.render.frames
    parts = {PLACING: placing.total}
    if minutes is not None:
        parts[TRAINING] = 60 * minutes + slower * (START + LOAD * total + photos * (JUDGE + JUDGE_PIXELS * trained))
    parts[DRAWING] = slower * (3 * LOAD * total + pictures * (DRAW + DRAW_PIXELS * trained))
    return parts


class Timetable:
    """Prints the expected times before the start, and the time of every part when it is done."""

    def __init__(self, parts: dict[str, float]) -> None:
        self.parts = parts
        self.taken: dict[str, float] = {}

    def announce(self) -> None:
        """Print the expected time of every part and the total."""
        table = Table(title="this will take about", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, seconds in self.parts.items():
            table.add_row(name, in_minutes(seconds))
        table.add_section()
        together = "total" if TRAINING in self.parts else "total, without the training"
        table.add_row(together, in_minutes(sum(self.parts.values())))
        terminal().print(table)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part, and print what it took."""
        begun = perf_counter()
        yield
        self.taken[name] = perf_counter() - begun
        thought = f" ({in_minutes(self.parts[name])} expected)" if name in self.parts else ""
        terminal().print(f"{name}: {in_minutes(self.taken[name])}{thought}", soft_wrap=True)


def in_minutes(seconds: float) -> str:
    """``seconds`` as minutes with one decimal."""
    return f"{seconds / 60:.1f} min"
