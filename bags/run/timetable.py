"""How long ``task=reconstruct`` will take, part by part, told before it begins; and how long each part took.

The models are as simple as they can be; that of placing is ``bags.preparation.forecast``, and the figures here are for
the same processor. To fit them anew, change the numbers below and nothing else.
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

LOAD = 0.05  # of one core: a megapixel of a photo read again; training and every task after it do so
JUDGE, JUDGE_PIXELS = 0.3, 3.0  # of one core: a photo looked at for the report; and a megapixel of training resolution
DRAW, DRAW_PIXELS = 0.06, 0.6  # of one core: a picture and its depth drawn and written; and a megapixel of them
FILMS = 1.5  # drawn for a frame of a film: the flight's, and, as its camera rests half of the time, before and after
START = 15.0  # programs loaded and compiled, the report written
FRAME, UNKNOWN = (1920, 1080), (4000, 3000)  # pixels of a video's frame, and of a photo of unknown size


@dataclass(frozen=True)
class Material:
    """What there is to work on: how many photos (or frames of a video), and the size of a usual one in pixels."""

    photos: int
    width: int
    height: int

    @property
    def megapixels(self) -> float:
        """Of a usual photo."""
        return self.width * self.height / 1e6


def material(source: Path, frames: int) -> Material:
    """What ``source`` holds, by names and headers alone; ``frames`` are taken of a video."""
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
    """Seconds of every part, in their order.

    Args:
        settings: the run's.
        found: what there is to work on.
        minutes: that training may take; null: nobody knows.
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
