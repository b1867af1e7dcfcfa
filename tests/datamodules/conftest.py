from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image


@pytest.fixture
def colmap_scene(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COLMAP scene of random poses, points and noise photos with pycolmap itself; returns its root."""

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
            path = tmp_path / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            width, height = photo_size or size
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        for _ in range(points):
            colour = rng.integers(0, 256, 3, dtype=np.uint8)
            scene.add_point3D(rng.normal(size=3), pycolmap.Track(), colour)
        folder = tmp_path / sparse
        folder.mkdir(parents=True)
        scene.write_text(str(folder)) if text else scene.write_binary(str(folder))
        return tmp_path

    return make
