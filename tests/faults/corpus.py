"""What is damaged: tiny inputs of every kind that some loader opens, all made by our own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import torch
from PIL import Image

from bags.datamodules.parsers.blender import parse_blender
from bags.io.colmap import write_colmap
from bags.io.ply import PlyGaussians, write_ply
from bags.io.ply_vertices import read_vertices
from bags.io.video import writing_video
from bags.preparation.scene import RECORD
from bags.settings import DatasetSettings
from bags.tasks import train
from bags.types import PointCloud
from tests.integration.test_training import settings_of
from tests.ply_files import as_written_elsewhere
from tests.standins import write_blender, write_multiscale

SIZE = (24, 16)
RUN = "run"


def blender(root: Path) -> None:
    write_blender(root, 3, 1, SIZE)


def multiscale(root: Path) -> None:
    write_multiscale(root, 3, 1, 16, (0,))


def colmap(root: Path) -> None:
    """``images/`` and a binary model of four photos; ``test.txt``."""
    write_blender(root / "blender", 4, 1, SIZE)
    scene = parse_blender(DatasetSettings(parser="blender", root=str(root / "blender")))
    (root / "images").mkdir()
    cameras = {}
    for number, view in enumerate(scene.train):
        view.load().convert("RGB").save(root / f"images/{number:03d}.png")
        cameras[f"{number:03d}.png"] = replace(view.camera, fx=20.0 + number)
    generator = torch.Generator().manual_seed(0)
    points = PointCloud(*(torch.rand(20, 3, generator=generator) for _ in range(2)))
    write_colmap(root / "sparse/0", cameras, points)
    (root / "test.txt").write_text("# held out\n000.png\n")


def colmap_text(root: Path) -> None:
    colmap(root)
    pycolmap.Reconstruction(root / "sparse/0").write_text(str(root / "sparse/0"))
    for path in (root / "sparse/0").glob("*.bin"):
        path.unlink()


def nerfstudio(root: Path) -> None:
    """One ``transforms.json`` of a distorted lens, four photos, points as PLY."""
    write_blender(root, 4, 1, SIZE)
    said = json.loads((root / "transforms_train.json").read_text())
    said |= {"fl_x": 30.0, "cx": 12.5, "k1": -0.1, "camera_model": "OPENCV", "ply_file_path": "sparse_pc.ply"}
    del said["camera_angle_x"]
    (root / "transforms.json").write_text(json.dumps(said))
    points = np.array([(1, 2, 3, 9), (4, 5, 6, 200)], dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1")])
    as_written_elsewhere(root / "sparse_pc.ply", points)


def photos(root: Path) -> None:
    """A photo of every format."""
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 72, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "Acme"
    tags.get_ifd(0x8769)[0x920A] = 50.0
    for name, form, options in (
        ("a.png", "PNG", {}), ("b.jpg", "JPEG", {"exif": tags}), ("c.webp", "WEBP", {"exif": tags}),
        ("d.tif", "TIFF", {"compression": "tiff_lzw"}), ("e.bmp", "BMP", {}), ("f.jpeg", "JPEG", {"progressive": True}),
        ("g.tiff", "TIFF", {}), ("h.png", "PNG", {"exif": tags}),
    ):  # fmt: skip
        photo.save(root / name, form, **options)


def video(root: Path) -> None:
    root.mkdir()
    generator = torch.Generator().manual_seed(0)
    with writing_video(root / "film.mp4", 96, 64, 25) as write:
        for _ in range(12):
            write(torch.rand(3, 64, 96, generator=generator))


def gaussians(count: int, generator: torch.Generator, sigma: bool) -> PlyGaussians:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator)

    return PlyGaussians(draw(3), draw(1, 3), draw(3, 3), draw(), draw(3), draw(4), draw().abs() if sigma else None)


def ply(root: Path) -> None:
    """Our layout with and without the filter, and the same as text."""
    root.mkdir()
    generator = torch.Generator().manual_seed(0)
    write_ply(root / "common.ply", gaussians(6, generator, False))
    write_ply(root / "filter.ply", gaussians(6, generator, True))
    as_written_elsewhere(root / "text.ply", read_vertices(root / "common.ply"), "ascii")


def run(root: Path) -> None:
    """A finished run of three steps and what ``task=prepare`` leaves beside a scene."""
    settings = settings_of(root, f"name={RUN}", "schedule.steps=3", "dataset.synthetic.train_views=3",
                           "dataset.synthetic.test_views=1", "trainer.threads=1")  # fmt: skip
    train.run(settings)
    photos = [
        {"name": f"{i}.jpg", "source": f"{i}.jpg", "width": 96, "height": 64, "sharpness": 0.5, "placed": i < 3,
         "points": 200, "reason": "too few details"}
        for i in range(4)
    ]  # fmt: skip
    (root / RECORD).write_text(json.dumps({
        "source": "photos", "photos": photos, "placed": 3, "not_used": [{"file": "x.txt", "reason": "not a photo"}],
        "points": 600, "reprojection_error_px": 0.5, "attempt": "strict", "cameras": [], "test_views": [],
        "seconds": 1.0, "pycolmap": pycolmap.__version__,
    }))  # fmt: skip


MAKERS: dict[str, Callable[[Path], None]] = {
    "blender": blender, "multiscale": multiscale, "colmap": colmap, "colmap_text": colmap_text,
    "nerfstudio": nerfstudio, "photos": photos, "video": video, "ply": ply, "run": run,
}  # fmt: skip


def make(folder: Path) -> None:
    """All of them, each in a folder of its name."""
    folder.mkdir(parents=True)
    for name, maker in MAKERS.items():
        maker(folder / name)
