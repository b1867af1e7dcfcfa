"""Tiny scenes written in the layout that each data set really has on disk."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from bags.datamodules.synthetic import make_synthetic_scene
from bags.settings import SyntheticSettings
from bags.types import Scene


@functools.cache
def built_in(width: int = 192, height: int = 128) -> Scene:
    """Photos, poses and points of the built-in scene: enough of them for a split and a step."""
    return make_synthetic_scene(
        SyntheticSettings(width=width, height=height, train_views=8, test_views=0, points=150, samples=4)
    )


def write_colmap(root: Path, reduced: int | None = None, hold: int | None = None) -> Path:
    """``images/`` (JPEG), ``sparse/0/*.txt``, on request ``images_N/`` (PNG) and an empty file ``hold=N``."""
    scene = built_in()
    cameras, images = [], []
    (root / "images").mkdir(parents=True)
    (root / "sparse/0").mkdir(parents=True)
    for number, view in enumerate(scene.train, start=1):
        camera, photo = view.camera, view.load()
        x, y, z, w = Rotation.from_matrix(camera.rotation.numpy()).as_quat()
        size = f"{camera.width} {camera.height}"
        cameras.append(f"{number} PINHOLE {size} {camera.fx} {camera.fy} {camera.width / 2} {camera.height / 2}")
        move = " ".join(map(str, camera.translation.tolist()))
        images += [f"{number} {w} {x} {y} {z} {move} {number} {number:03d}.jpg", ""]
        photo.save(root / f"images/{number:03d}.jpg")
        if reduced:
            (root / f"images_{reduced}").mkdir(exist_ok=True)
            small = photo.resize((camera.width // reduced, camera.height // reduced))
            small.save(root / f"images_{reduced}/{number:03d}.png")
    points = [
        f"{i} {' '.join(map(str, xyz))} {' '.join(str(round(255 * c)) for c in rgb)} 0.5"
        for i, (xyz, rgb) in enumerate(zip(scene.points.xyz.tolist(), scene.points.rgb.tolist(), strict=True), start=1)
    ]
    for name, lines in (("cameras", cameras), ("images", images), ("points3D", points)):
        (root / f"sparse/0/{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    if hold:
        (root / f"hold={hold}").touch()
    return root


def pose(index: int, distance: float = 4.0) -> list[list[float]]:
    """OpenGL camera to world: on a circle, looking at the origin, z up."""
    angle = 0.7 * index
    back = np.array([math.cos(angle), math.sin(angle), 0.5])
    back /= np.linalg.norm(back)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([right, np.cross(back, right), back, distance * back])
    return matrix.tolist()


def picture(path: Path, size: tuple[int, int] = (16, 16), seed: int = 0) -> None:
    """An RGBA photo of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(path)


def write_blender(root: Path, train: int = 3, test: int = 2, size: tuple[int, int] = (32, 24)) -> Path:
    """NeRF's layout: RGBA photos, file names without extension, a picture of depth beside the test photos."""
    for split, count in (("train", train), ("test", test)):
        frames: list[dict[str, Any]] = []
        for i in range(count):
            picture(root / split / f"r_{i}.png", size, i)
            frames.append({"file_path": f"./{split}/r_{i}", "rotation": 0.01, "transform_matrix": pose(i + 10 * test)})
        (root / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    picture(root / "test/r_0_depth_0001.png", size)
    return root


def write_multiscale(root: Path, train: int = 2, test: int = 1, size: int = 32, levels: Sequence[int] = (0, 1)) -> Path:
    """Mip-NeRF's layout: one ``metadata.json``, columns for each split, every photo at all resolutions."""
    meta = {}
    for split, count in (("train", train), ("val", 1), ("test", test)):
        rows = []
        for i in range(count):
            for level in levels:
                side, focal = size >> level, 40.0 / 2**level
                name = f"images_{split}/{i:03d}_d{level}.png"
                picture(root / name, (side, side), i)
                pixel_to_camera = [[1 / focal, 0, -side / 2 / focal], [0, -1 / focal, side / 2 / focal], [0, 0, -1]]
                rows.append({
                    "file_path": name, "cam2world": pose(i), "width": side, "height": side, "focal": focal,
                    "label": level, "near": 2.0, "far": 6.0, "lossmult": 4.0**level, "pix2cam": pixel_to_camera,
                })  # fmt: skip
        meta[split] = {key: [row[key] for row in rows] for key in rows[0]}
    (root / "metadata.json").write_text(json.dumps(meta))
    return root
