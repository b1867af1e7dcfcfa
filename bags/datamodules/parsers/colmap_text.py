"""COLMAP's text files, checked line by line and normalised to a form that pycolmap reads correctly.

pycolmap treats every second line of ``images.txt`` as observations, reads only the beginning of a malformed number
(``0,5`` becomes 0), and does not notice a truncated file. Scripts and other tools may write one line per photo, begin a
file with a byte order mark, or separate values by tabs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bags.datamodules.parsers.photos import readable
from bags.errors import DataError, shown

ANNOUNCED = re.compile(r"#\s*Number of (?:cameras|images|points):\s*(\d+)", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf)", re.ASCII | re.IGNORECASE)
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
FORMS = {
    "cameras": "CAMERA_ID MODEL WIDTH HEIGHT PARAMS...",
    "images": "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME",
    "points3D": "POINT3D_ID X Y Z R G B ERROR TRACK...",
}


def normalised(name: str, path: Path, to: Path) -> None:
    """Write the records of a text file to ``to``, as pycolmap reads them, without the unused observations and tracks.

    Args:
        name: ``cameras``, ``images`` or ``points3D``.
        path: the file.
        to: the file to write, in UTF-8.

    Raises:
        DataError: a line is malformed, a number is used twice, or the number of records differs from the header's;
            names the line.
    """
    numbers: set[int] = set()
    file = _File(name, path)
    with to.open("w", encoding="utf-8", errors="surrogateescape") as out:
        for record in {"cameras": _cameras, "images": _images, "points3D": _points}[name](file):
            number = int(record[0])
            if number in numbers:
                raise file.wrong(f"number {number} is used twice")
            numbers.add(number)
            # A photo's line is followed by an empty one, for its observations.
            out.write(" ".join(record) + ("\n\n" if name == "images" else "\n"))
    if file.announced not in (None, len(numbers)):
        raise DataError(
            f"{path}: not a complete COLMAP file (its header states {file.announced:,} {name}, but there are"
            f" {len(numbers):,}); copy it again, or correct the header"
        )


def count_photos(path: Path) -> int:
    """How many lines of an ``images.txt`` are photos; 0 if it is not text."""
    try:
        return sum(map(_is_photo, _File("images", path)))
    except DataError:
        return 0


class _File:
    """The lines of a text file without its comments, and the number of records that its header states."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.line = 0
        self.announced: int | None = None

    def __iter__(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            mark = file.read(3)
        encoding = next((encoding for start, encoding in MARKS.items() if mark.startswith(start)), "utf-8")
        try:
            with self.path.open(encoding=encoding, errors="strict" if "16" in encoding else "surrogateescape") as file:
                for self.line, line in enumerate(file, start=1):
                    text = line.strip()
                    if text.startswith("#"):
                        if found := ANNOUNCED.match(text):
                            self.announced = int(found[1][:18])
                    else:
                        yield text
        except UnicodeError as error:
            raise DataError(f"{self.path}: cannot be read as text ({error}); copy it again") from error

    def wrong(self, problem: str) -> DataError:
        where = f"{self.path}: not a complete COLMAP file (line {self.line}: {problem}"
        return DataError(f"{where}); expected: {FORMS[self.name]}; copy it again, or rerun the mapper")

    def malformed(self, text: str) -> DataError:
        return self.wrong(f"{shown(text)} is malformed")


def _cameras(file: _File) -> Iterator[Sequence[str]]:
    for text in filter(None, file):
        number, *rest = text.split()
        if len(rest) < 4 or not (_whole(number) and _numbers(rest[1:])):
            raise file.malformed(text)
        yield number, rest[0].upper(), *rest[1:]


def _images(file: _File) -> Iterator[Sequence[str]]:
    """A photo's line may be followed by a line of observations, by an empty line, or by the next photo's line."""
    open_ended = False  # whether the line before is a photo's
    for text in file:
        if _is_photo(text):
            yield *text.split()[:9], readable(text.split(maxsplit=9)[9])
            open_ended = True
        elif not text or (open_ended and _are_observations(text.split())):
            open_ended = False
        elif _are_observations(text.split()):
            raise file.wrong("observations without the photo they belong to")
        else:
            raise file.malformed(text)


def _is_photo(text: str) -> bool:
    words = text.split(maxsplit=9)
    return (
        len(words) == 10 and _whole(words[0]) and _whole(words[8]) and _numbers(words[1:8]) and not _is_tail(words[9])
    )


def _is_tail(text: str) -> bool:
    """Whether the rest of a line that may be a photo's looks like observations; a line of 12 words may be either."""
    rest = text.split()
    return len(rest) % 3 == 0 and _numbers(rest)


def _are_observations(words: Sequence[str]) -> bool:
    return len(words) % 3 == 0 and _numbers(words) and all(map(_whole, words[2::3]))


def _points(file: _File) -> Iterator[Sequence[str]]:
    for text in filter(None, file):
        words = text.split()
        if len(words) < 8 or not (_whole(words[0]) and _numbers(words[1:]) and all(map(_is_level, words[4:7]))):
            raise file.malformed(text)
        yield words[:8]


def _is_level(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 4 and int(word) < 256


def _whole(word: str) -> bool:
    return re.fullmatch(r"-?\d{1,19}", word, re.ASCII) is not None


def _numbers(words: Sequence[str]) -> bool:
    return all(map(NUMBER.fullmatch, words))
