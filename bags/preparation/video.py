"""Frames of a video: the sharpest of every part of the camera's path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bags.errors import DataError
from bags.preparation.intake import JPEG, SMALLEST, Photo, Report, stretched
from bags.preparation.sharpness import sharpness

CANDIDATES = 15  # frames examined for each one that is taken
LOOK = 400  # pixels of the longer side at which candidates are compared
TRACE = (48, 48)  # pixels of the thumbnails that measure how much the picture changes


@dataclass(frozen=True)
class Candidate:
    """An examined frame: its number, sharpness, and mean change (in levels of 255) since the one before."""

    number: int
    sharpness: float
    change: float


def take_frames(video: Path, into: Path, count: int, report: Report) -> list[Photo]:
    """Write ``count`` frames, or all if there are fewer, to the folder ``into``, as ``frame_00042.jpg``.

    Args:
        video: any format and codec that FFmpeg reads.
        into: an empty folder.
        count: frames wanted.
        report: called for every frame.

    Raises:
        DataError: not a video, none of its frames can be decoded, or they are too small.
    """
    total = sum(1 for _ in _packets(video))
    stride = max(1, total // (CANDIDATES * count))
    candidates, before = [], None
    for number, frame in _frames(video):
        report("looking at frames", min(number, total), total)
        if number % stride:
            continue
        picture = frame.to_image()
        trace = np.asarray(picture.convert("L").resize(TRACE, Image.Resampling.BOX), dtype=np.float64)
        change = 0.0 if before is None else float(np.abs(trace - before).mean())
        candidates.append(Candidate(number, sharpness(picture, LOOK), change))
        before = trace
    if not candidates:
        raise DataError(f"{video}: no frame of this video can be decoded; convert it to H.264 in an mp4 file")
    wanted = pick(candidates, count)
    photos: list[Photo] = []
    shape = _pixel_shape(video)
    for number, frame in _frames(video):
        if number in wanted:
            report("taking frames", len(photos), len(wanted))
            photos.append(_write(video, number, frame, shape, into))
        if len(photos) == len(wanted):
            break
    return photos


def pick(candidates: list[Candidate], count: int) -> set[int]:
    """Numbers of ``count`` frames: the sharpest of each of ``count`` equal parts of the camera's path.

    The length of the path is the sum of changes from frame to frame, so few frames are taken while the camera rests.
    """
    if len(candidates) <= count:
        return {candidate.number for candidate in candidates}
    # A small constant for every frame, so that the frames of a resting camera are distributed too.
    steps = np.array([candidate.change for candidate in candidates])
    way = np.cumsum(steps + max(0.05 * float(steps.mean()), 1e-6))
    part = np.minimum((count * (way - way[0]) / (way[-1] - way[0])).astype(int), count - 1)
    best: dict[int, Candidate] = {}
    for place, candidate in zip(part.tolist(), candidates, strict=True):
        if place not in best or candidate.sharpness > best[place].sharpness:
            best[place] = candidate
    return {candidate.number for candidate in best.values()}


def upright(picture: Image.Image, rotation: float) -> Image.Image:
    """``picture`` as a player shows it: turned by the ``rotation`` stored in the video, degrees anticlockwise."""
    return picture.rotate(rotation, expand=True) if rotation % 360 else picture


def _write(video: Path, number: int, frame: Any, shape: float, into: Path) -> Photo:
    picture = frame.to_image() if shape == 1 else stretched(frame.to_image(), shape)
    picture = upright(picture, frame.rotation)
    if min(picture.size) < SMALLEST:
        raise DataError(f"{video}: {picture.width} x {picture.height} pixels; at least {SMALLEST} are needed")
    name = f"frame_{number:05d}.jpg"
    picture.save(into / name, **JPEG)
    size = f"{picture.width} x {picture.height}"
    return Photo(name, f"frame {number}", picture.width, picture.height, size, sharpness(picture))


@contextmanager
def _opened(video: Path) -> Iterator[tuple[Any, Any]]:
    import av

    try:
        if not video.is_file():  # opening a pipe would wait
            raise FileNotFoundError("no such file")
        with av.open(str(video)) as container:
            stream = container.streams.best("video")  # not a cover picture, which may be the first stream
            if stream is None:
                raise DataError(f"{video}: this file contains no video; source= takes a folder of photos or a video")
            stream.thread_type = "AUTO"
            yield container, stream
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(
            f"{video}: cannot be read as a video ({error}); source= takes a folder of photos or a video"
        ) from error


def _pixel_shape(video: Path) -> float:
    """Width of a pixel over its height: camcorders and films may have pixels that are not square."""
    with _opened(video) as (_, stream):
        shape = float(stream.sample_aspect_ratio or 1)
    return shape if 1 / 3 < shape < 3 else 1.0


def _packets(video: Path) -> Iterator[Any]:
    """One packet for every frame; cheap, because nothing is decoded."""
    with _opened(video) as (container, stream):
        yield from (packet for packet in container.demux(stream) if packet.size)


def _frames(video: Path) -> Iterator[tuple[int, Any]]:
    """All frames that can be decoded; a truncated video ends at its last intact frame."""
    import av

    with _opened(video) as (container, stream):
        frames = container.decode(stream)
        number = 0
        while True:
            try:
                frame = next(frames)
            except (StopIteration, av.FFmpegError):
                return
            yield number, frame
            number += 1
