"""COLMAP's model files (``cameras``, ``images``, ``points3D``; binary or text).

Read here rather than through pycolmap: that takes a file cut short for a whole one, or takes the process down with it,
where a run should stop with a sentence. Observations are skipped. Format: colmap.github.io/format.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bags.errors import DataError

# Number in binary files: name and count of parameters.
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
}
_PARAMETERS = dict(CAMERA_MODELS.values())


@dataclass(frozen=True)
class ColmapCamera:
    """Camera model, image size in pixels, and the model's parameters in COLMAP's order."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """A registered photo: its name, quaternion (wxyz) and translation world to camera, and its camera's number."""

    name: str
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera_id: int


@dataclass(frozen=True)
class ColmapModel:
    """A sparse model: cameras by number, photos, points ``xyz`` (P, 3) and ``rgb`` (P, 3) in [0, 255]."""

    cameras: dict[int, ColmapCamera]
    images: list[ColmapImage]
    xyz: NDArray[np.float64]
    rgb: NDArray[np.float64]


def read_model(folder: Path) -> ColmapModel:
    """Read the model in ``folder``; binary files are preferred to text files.

    Raises:
        DataError: a file is missing, cut short or not what it should be.
    """
    paths = [_found(folder, name) for name in ("cameras", "images", "points3D")]
    readers: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = (
        (_binary_cameras, _text_cameras),
        (_binary_images, _text_images),
        (_binary_points, _text_points),
    )
    cameras, images, points = (
        _checked(binary if path.suffix == ".bin" else text, path)
        for path, (binary, text) in zip(paths, readers, strict=True)
    )
    return ColmapModel(cameras, images, points[:, :3], points[:, 3:])


def _found(folder: Path, name: str) -> Path:
    for suffix in (".bin", ".txt"):
        if (folder / (name + suffix)).is_file():
            return folder / (name + suffix)
    raise DataError(f"{folder}: no {name}.bin or {name}.txt; run COLMAP's mapper, or copy the whole sparse model")


def _checked(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except (struct.error, ValueError, IndexError, KeyError, OSError) as error:
        raise DataError(
            f"{path}: not a whole COLMAP file ({type(error).__name__}: {error}); copy it again or rerun the mapper"
        ) from error


class _Binary:
    """A little-endian file being read record by record; an ``IndexError`` where it ends too early."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.place = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.place)
        self.place += struct.calcsize("<" + layout)
        return values

    def name(self) -> str:
        end = self.data.index(b"\0", self.place)
        start, self.place = self.place, end + 1
        return self.data[start:end].decode("utf-8")

    def skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.data):
            raise IndexError("it ends too early")

    def records(self) -> Iterator[None]:
        (count,) = self.take("Q")
        for _ in range(count):
            yield
        if self.place != len(self.data):
            raise ValueError(f"{len(self.data) - self.place} bytes too many")


def _binary_cameras(path: Path) -> dict[int, ColmapCamera]:
    file, cameras = _Binary(path), {}
    for _ in file.records():
        number, model, width, height = file.take("iiQQ")
        name, count = CAMERA_MODELS[model]
        cameras[number] = ColmapCamera(name, width, height, file.take(f"{count}d"))
    return cameras


def _binary_images(path: Path) -> list[ColmapImage]:
    file, images = _Binary(path), []
    for _ in file.records():
        _, *pose, camera = file.take("i7di")
        images.append(ColmapImage(file.name(), tuple(pose[:4]), tuple(pose[4:]), camera))
        file.skip(24 * file.take("Q")[0])
    return images


def _binary_points(path: Path) -> NDArray[np.float64]:
    file, points = _Binary(path), []
    for _ in file.records():
        _, x, y, z, red, green, blue, _, track = file.take("Q3d3BdQ")
        points.append((x, y, z, red, green, blue))
        file.skip(8 * track)
    return np.array(points, dtype=np.float64).reshape(-1, 6)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def _text_cameras(path: Path) -> dict[int, ColmapCamera]:
    cameras = {}
    for line in filter(str.strip, _lines(path)):
        number, model, width, height, *params = line.split()
        if len(params) != _PARAMETERS.get(model, len(params)):
            raise ValueError(f"camera {number}: {model} has {_PARAMETERS[model]} parameters, not {len(params)}")
        cameras[int(number)] = ColmapCamera(model, int(width), int(height), tuple(map(float, params)))
    return cameras


def _text_images(path: Path) -> list[ColmapImage]:
    lines, images = iter(_lines(path)), []
    for line in lines:
        if not line.strip():
            continue
        words = line.strip().split(maxsplit=9)  # the name, last, may hold spaces
        if len(words) != 10:
            raise ValueError(f"10 words expected: {line!r}")
        pose = tuple(map(float, words[1:8]))
        images.append(ColmapImage(words[9], pose[:4], pose[4:], int(words[8])))
        next(lines, None)  # its observations, an empty line where there are none
    return images


def _text_points(path: Path) -> NDArray[np.float64]:
    points = []
    for line in filter(str.strip, _lines(path)):
        _, x, y, z, red, green, blue, *_ = map(float, line.split())
        points.append((x, y, z, red, green, blue))
    return np.array(points, dtype=np.float64).reshape(-1, 6)
