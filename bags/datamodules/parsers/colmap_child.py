"""Reads a COLMAP model with pycolmap in a process of its own: ``python colmap_child.py FOLDER .bin|.txt OUT``.

Given a file cut short, pycolmap takes it for a whole one, fills the memory or takes its process down; in here, that
costs nothing. Files are read one more at a time, and the rows of each go to ``OUT/NAME.json``, so the first one missing
tells which file was at fault. Sizes: colmap.github.io/format.html.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pycolmap

SMALLEST_RECORD = {"cameras": 24, "images": 73, "points3D": 51}  # bytes in a binary file
MEMORY = 256 << 20, 32  # bytes that reading may take, and more per byte of the files


def main(folder: Path, suffix: str, out: Path) -> None:
    """Write the rows of the model in ``folder`` to ``out``; an exception where a file is not whole."""
    stage = out / "stage"
    stage.mkdir()
    paths = {name: folder.resolve() / (name + suffix) for name in SMALLEST_RECORD}
    _limit_memory(sum(path.stat().st_size for path in paths.values()))
    for path in paths.values():
        (stage / path.name).write_bytes(bytes(8) if suffix == ".bin" else b"")  # a file of no records
    for (name, path), rows_of in zip(paths.items(), (_cameras, _images, _points), strict=True):
        (stage / path.name).unlink()
        (stage / path.name).symlink_to(path)
        if suffix == ".bin":
            _check_count(path, SMALLEST_RECORD[name])
        model = pycolmap.Reconstruction()
        (model.read_binary if suffix == ".bin" else model.read_text)(str(stage))
        rows, size = rows_of(model)
        if suffix == ".bin" and size != path.stat().st_size:
            raise ValueError(f"{path.stat().st_size} bytes, but what pycolmap found in it takes {size}")
        if path.name == "images.txt":
            names = _whole_names(path)
            rows = [(number, names[number], *rest) for number, _, *rest in rows]
        (out / f"{name}.json").write_text(json.dumps(rows))


def _limit_memory(size: int) -> None:
    """Let a runaway read of files of ``size`` bytes fail early; elsewhere than on Linux, only the time is limited."""
    if sys.platform == "linux":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + MEMORY[0] + MEMORY[1] * size
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _check_count(path: Path, record: int) -> None:
    with path.open("rb") as file:
        count = int.from_bytes(file.read(8), "little")
    if 8 + count * record > path.stat().st_size:
        raise ValueError(f"{path.stat().st_size} bytes cannot hold the {count} records announced")


def _cameras(model: Any) -> tuple[list[Any], int]:
    rows = [(c.camera_id, c.model.name, (c.width, c.height), list(c.params)) for c in model.cameras.values()]
    return rows, 8 + sum(24 + 8 * len(params) for *_, params in rows)


def _images(model: Any) -> tuple[list[Any], int]:
    rows, size = [], 8
    for image in model.images.values():
        pose = image.cam_from_world()
        x, y, z, w = pose.rotation.quat
        rows.append((image.image_id, image.name, (w, x, y, z), list(pose.translation), image.camera_id))
        size += 73 + len(image.name.encode()) + 24 * len(image.points2D)
    return rows, size


def _points(model: Any) -> tuple[list[Any], int]:
    points = [point for _, point in sorted(model.points3D.items(), key=lambda item: item[0])]
    rows = [(*point.xyz.tolist(), *point.color.tolist()) for point in points]
    return rows, 8 + sum(51 + 8 * point.track.length() for point in points)


def _whole_names(path: Path) -> dict[int, str]:
    """Names in a text file by image number; pycolmap cuts them at their first space."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    names = {}
    for line in filter(str.strip, lines):
        number, *_, name = line.strip().split(maxsplit=9)
        names[int(number)] = name
        next(lines, None)  # its observations, an empty line where there are none
    return names


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
