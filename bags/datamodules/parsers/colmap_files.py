"""COLMAP's model files (``cameras``, ``images``, ``points3D``; binary or text), read by pycolmap in a child process.

Points may also be in a PLY file, ``points3D.ply``, as written by other tools.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bags.datamodules.parsers.colmap_text import count_photos as count_lines
from bags.datamodules.parsers.colmap_text import normalised
from bags.datamodules.parsers.photos import readable
from bags.errors import DataError
from bags.io.points import read_points

FILES = ("cameras", "images", "points3D")
CHILD = Path(__file__).with_name("colmap_child.py")
SUFFIXES = (".bin", ".txt")
SMALLEST_PHOTO = 73  # bytes in a binary file
TIMEOUT = 60.0, 1e-6  # seconds, and additional seconds per byte of the files; about twenty times the usual


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
    """Read the model in ``folder``; binary files are preferred to text files, and both to a PLY file of points.

    pycolmap runs in a separate process, because a damaged file can crash it or make it hang.

    Raises:
        DataError: a file is missing, truncated or malformed.
    """
    files = model_files(folder)
    cloud = files["points3D"] if files["points3D"].suffix.lower() == ".ply" else _beside(folder).get("points3d.ply")
    told = {name: path for name, path in files.items() if path.suffix.lower() != ".ply"}
    with tempfile.TemporaryDirectory(prefix="bags-colmap-") as out:
        read = {name: _as_pycolmap_reads(name, path, Path(out)) for name, path in told.items()}
        failure = _run_child(read, out)
        if failure:
            name = next((name for name in told if not Path(out, f"{name}.json").exists()), list(told)[-1])
            raise DataError(f"{told[name]}: not a complete COLMAP file ({failure}); copy it again, or rerun the mapper")
        rows = {name: json.loads(Path(out, f"{name}.json").read_text()) for name in told}
    table = np.array(rows.get("points3D", []), dtype=np.float64).reshape(-1, 6)
    if len(table) == 0 and cloud is not None:
        table = read_points(cloud)
    return ColmapModel(
        {number: ColmapCamera(model, w, h, tuple(params)) for number, model, (w, h), params in rows["cameras"]},
        [
            ColmapImage(readable(name), tuple(turn), tuple(move), camera)
            for _, name, turn, move, camera in rows["images"]
        ],
        table[:, :3],
        table[:, 3:],
    )


def is_model(folder: Path) -> bool:
    """Whether ``folder`` contains files of a model."""
    names = _beside(folder)
    return any(f"{name}{suffix}" in names for name in ("cameras", "images") for suffix in SUFFIXES)


def count_photos(folder: Path) -> int:
    """How many photos the model in ``folder`` has, from its header or its lines; 0 if unknown."""
    names = _beside(folder)
    if path := names.get("images.bin"):
        with path.open("rb") as file:
            count = int.from_bytes(file.read(8), "little")
        return count if 8 + count * SMALLEST_PHOTO <= path.stat().st_size else 0
    return count_lines(names["images.txt"]) if "images.txt" in names else 0


def model_files(folder: Path) -> dict[str, Path]:
    """The files to read, by their part of the model; letter case is ignored.

    Raises:
        DataError: names the missing files.
    """
    names = _beside(folder)
    for suffix in SUFFIXES:
        files = {name: names[f"{name}{suffix}"] for name in ("cameras", "images") if f"{name}{suffix}" in names}
        points = next((names[f"points3d{s}"] for s in (suffix, *SUFFIXES, ".ply") if f"points3d{s}" in names), None)
        if len(files) == 2 and points is not None:
            return {**files, "points3D": points}
    lacking = [[name for name in FILES if f"{name.lower()}{suffix}" not in names] for suffix in SUFFIXES]
    missing = ", ".join(f"{name}.bin" for name in min(lacking, key=len))
    raise DataError(
        f"{folder}: no {missing} (and not all three as .txt); run COLMAP's mapper, or copy the whole sparse model"
    )


def _beside(folder: Path) -> dict[str, Path]:
    """The files in ``folder`` by their names in lower case."""
    if not folder.is_dir():
        return {}
    return {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_file()}


def _as_pycolmap_reads(name: str, path: Path, out: Path) -> Path:
    """``path``, or for a text file a normalised copy."""
    if path.suffix.lower() != ".txt":
        return path
    _need_text(path)
    copy = out / f"{name}.txt"
    normalised(name, path, copy)
    return copy


def _need_text(path: Path) -> None:
    """Reject an incomplete copy that ends in zeros; gigabytes of them would take long to read.

    Raises:
        DataError: names the file.
    """
    with open(path, "rb") as file:
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        if (end := file.read()) and not any(end):
            raise DataError(f"{path}: ends in zero bytes, so it is not a complete text file; copy it again")


def _run_child(files: Mapping[str, Path], out: str) -> str:
    """Why the child failed; empty if it did not."""
    timeout = TIMEOUT[0] + TIMEOUT[1] * sum(path.stat().st_size for path in files.values())
    command = [sys.executable, str(CHILD), *(f"{name}={path.resolve()}" for name, path in files.items()), out]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"pycolmap had not finished it after {timeout:.0f} s"
    if done.returncode < 0:
        return f"pycolmap crashed on it: {signal.Signals(-done.returncode).name}"
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
