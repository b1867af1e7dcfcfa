from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from bags.datamodules.parsers import colmap_child, colmap_files


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are read in this process, for tests of what is read; ``test_colmap.py`` tests the child that reads."""

    def run(files: Mapping[str, Path], out: str) -> str:
        try:
            colmap_child.main({name: path.resolve() for name, path in files.items()}, Path(out))
        except Exception as error:
            return str(error)
        return ""

    monkeypatch.setattr(colmap_child, "_limit_memory", lambda size: None)
    monkeypatch.setattr(colmap_files, "_run_child", run)


@pytest.fixture
def colmap_scene(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COLMAP scene of random poses, points and noise photos with pycolmap itself; returns its new root."""
    numbers = itertools.count()

    def make(
        names: tuple[str, ...] = ("c.png", "a.png", "b.png", "d.png"),
        model: str = "PINHOLE",
        params: tuple[float, ...] = (50.0, 52.0, 24.0, 16.0),
        size: tuple[int, int] = (48, 32),
        photo_size: tuple[int, int] | None = None,
        text: bool = False,
        points: int = 7,
        sparse: str = "sparse/0",
        seed: int = 0,
    ) -> Path:
        root = tmp_path / f"scene{next(numbers)}"
        rng = np.random.default_rng(seed)
        scene = pycolmap.Reconstruction()
        camera = pycolmap.Camera(model=model, width=size[0], height=size[1], params=list(params), camera_id=1)
        scene.add_camera_with_trivial_rig(camera)
        for number, name in enumerate(names, start=1):
            quaternion = rng.normal(size=4)
            rotation = pycolmap.Rotation3d(quaternion / np.linalg.norm(quaternion))
            pose = pycolmap.Rigid3d(rotation, rng.normal(size=3))
            image = pycolmap.Image(name=name, camera_id=1, image_id=number)
            image.points2D = pycolmap.Point2DList([pycolmap.Point2D(rng.normal(size=2)) for _ in range(number % 3)])
            scene.add_image_with_trivial_frame(image, pose)
            path = root / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            width, height = photo_size or size
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        for _ in range(points):
            colour = rng.integers(0, 256, 3, dtype=np.uint8)
            scene.add_point3D(rng.normal(size=3), pycolmap.Track(), colour)
        folder = root / sparse
        folder.mkdir(parents=True)
        scene.write_text(str(folder)) if text else scene.write_binary(str(folder))
        return root

    return make
