"""Reads a COLMAP model with pycolmap in a separate process: ``python colmap_child.py NAME=FILE... OUT``.

For a truncated file, pycolmap may return incomplete data, fill the memory or crash; in a separate process that is
harmless. Files are added one at a time, and the rows of each are written to ``OUT/NAME.json``. So the first output that
is missing shows which file was at fault. Record sizes: colmap.github.io/format.html.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pycolmap

READERS = {".bin": pycolmap.Reconstruction.read_binary, ".txt": pycolmap.Reconstruction.read_text}
SMALLEST_RECORD = {"cameras": 24, "images": 73, "points3D": 51}  # bytes in a binary file
MEMORY = 256 << 20, 32  # memory limit for reading: bytes, and additional bytes per byte of the files


def main(files: dict[str, Path], out: Path) -> None:
    """Write the rows of a model's ``files`` to ``out``; raises an exception if one is incomplete."""
    _limit_memory(sum(path.stat().st_size for path in files.values()))
    stage = Path(tempfile.mkdtemp(dir=out))
    for suffix, name in itertools.product(READERS, SMALLEST_RECORD):
        (stage / (name + suffix)).write_bytes(bytes(8) if suffix == ".bin" else b"")  # a file without records
    for name, path in files.items():
        suffix = path.suffix.lower()
        (stage / (name + suffix)).unlink()
        (stage / (name + suffix)).symlink_to(path)
        count = _count(path, SMALLEST_RECORD[name]) if suffix == ".bin" else None
        model = pycolmap.Reconstruction()
        READERS[suffix](model, str(stage))
        rows, size = ROWS[name](model, _names(path, count) if name == "images" else {})
        if count not in (None, len(rows)):
            raise ValueError(f"{count} records stated, but {len(rows)} with different numbers found")
        if count is not None and size != path.stat().st_size:
            raise ValueError(f"{path.stat().st_size} bytes, but the records that pycolmap found take {size}")
        (out / f"{name}.json").write_text(json.dumps(rows))


def _limit_memory(size: int) -> None:
    """Limit the memory for reading files of ``size`` bytes, on Linux; on other systems only the time is limited."""
    if sys.platform == "linux":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + MEMORY[0] + MEMORY[1] * size
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _count(path: Path, record: int) -> int:
    with path.open("rb") as file:
        count = int.from_bytes(file.read(8), "little")
    if 8 + count * record > path.stat().st_size:
        raise ValueError(f"{path.stat().st_size} bytes cannot hold the {count} records stated")
    return count


def _cameras(model: Any, _: dict[int, str]) -> tuple[list[Any], int]:
    rows = [(c.camera_id, c.model.name, (c.width, c.height), list(c.params)) for c in model.cameras.values()]
    return rows, 8 + sum(24 + 8 * len(params) for *_, params in rows)


def _images(model: Any, names: dict[int, str]) -> tuple[list[Any], int]:
    rows, size = [], 8
    for image in model.images.values():
        pose, name = image.cam_from_world(), names[image.image_id]
        x, y, z, w = pose.rotation.quat
        rows.append((image.image_id, name, (w, x, y, z), list(pose.translation), image.camera_id))
        size += 73 + len(name.encode("utf-8", "surrogateescape")) + 24 * len(image.points2D)
    return rows, size


def _points(model: Any, _: dict[int, str]) -> tuple[list[Any], int]:
    points = [point for _, point in sorted(model.points3D.items(), key=lambda item: item[0])]
    rows = [(*point.xyz.tolist(), *point.color.tolist()) for point in points]
    return rows, 8 + sum(51 + 8 * point.track.length() for point in points)


def _names(path: Path, count: int | None) -> dict[int, str]:
    """Names by number: pycolmap decodes those of binary files only as UTF-8, and cuts those of text files at spaces."""
    names = {}
    if count is None:
        # Every second line is the empty one of observations.
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[::2]:
            if line:
                number, *_, name = line.split(maxsplit=9)
                names[int(number)] = name
        return names
    data, at = path.read_bytes(), 8
    for _ in range(count):
        end = data.index(b"\0", at + 64)
        names[int.from_bytes(data[at : at + 4], "little")] = data[at + 64 : end].decode("utf-8", "surrogateescape")
        at = end + 9 + 24 * int.from_bytes(data[end + 1 : end + 9], "little")
    return names


ROWS = {"cameras": _cameras, "images": _images, "points3D": _points}

if __name__ == "__main__":
    *said, folder = sys.argv[1:]
    main({name: Path(path) for name, _, path in (word.partition("=") for word in said)}, Path(folder))
