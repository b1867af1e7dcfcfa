"""COLMAP's model files (``cameras``, ``images``, ``points3D``; binary or text), read by pycolmap at arm's length."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bags.errors import DataError

FILES = ("cameras", "images", "points3D")
CHILD = Path(__file__).with_name("colmap_child.py")
TIMEOUT = 60.0, 1e-6  # seconds, and seconds more per byte of the files; about twenty times what it takes


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

    pycolmap runs in a process of its own, as a damaged file can crash it or keep it busy for ever.

    Raises:
        DataError: a file is missing, cut short or not what it should be.
    """
    suffix = _suffix(folder)
    if suffix == ".txt":
        _need_text(folder)
    with tempfile.TemporaryDirectory(prefix="bags-colmap-") as out:
        failure = _run_child(folder, suffix, out)
        if failure:
            name = next((name for name in FILES if not Path(out, f"{name}.json").exists()), FILES[-1])
            raise DataError(
                f"{folder / (name + suffix)}: not a whole COLMAP file ({failure}); copy it again or rerun the mapper"
            )
        cameras, images, points = (json.loads(Path(out, f"{name}.json").read_text()) for name in FILES)
    table = np.array(points, dtype=np.float64).reshape(-1, 6)
    return ColmapModel(
        {number: ColmapCamera(model, w, h, tuple(params)) for number, model, (w, h), params in cameras},
        [ColmapImage(name, tuple(turn), tuple(move), camera) for _, name, turn, move, camera in images],
        table[:, :3],
        table[:, 3:],
    )


def _suffix(folder: Path) -> str:
    for suffix in (".bin", ".txt"):
        if all((folder / (name + suffix)).is_file() for name in FILES):
            return suffix
    missing = ", ".join(f"{name}.bin" for name in FILES if not (folder / f"{name}.bin").is_file())
    raise DataError(
        f"{folder}: no {missing} (nor all three as .txt); run COLMAP's mapper, or copy the whole sparse model"
    )


def _need_text(folder: Path) -> None:
    """Refuse what a broken copy leaves: room for the file, zeros at its end; to read gigabytes of them takes long.

    Raises:
        DataError: names the file.
    """
    for path in (folder / f"{name}.txt" for name in FILES):
        with open(path, "rb") as file:
            file.seek(-min(1, path.stat().st_size), os.SEEK_END)
            if file.read(1) == b"\0":
                raise DataError(f"{path}: ends in zero bytes, so it is no whole text file; copy it again")


def _run_child(folder: Path, suffix: str, out: str) -> str:
    """Why the child failed; empty when it did not."""
    timeout = TIMEOUT[0] + TIMEOUT[1] * sum((folder / (name + suffix)).stat().st_size for name in FILES)
    command = [sys.executable, str(CHILD), str(folder), suffix, out]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"pycolmap was not done with it after {timeout:.0f} s"
    if done.returncode < 0:
        return f"pycolmap crashed on it: {signal.Signals(-done.returncode).name}"
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
