"""Photos of the built-in scene that pycolmap can really place: rendered and placed once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bags.datamodules.synthetic import make_synthetic_scene
from bags.preparation.scene import Prepared, prepare
from bags.settings import PrepareSettings, SyntheticSettings
from bags.types import Scene

SMALL = PrepareSettings(features=1000, test_views=2, threads=2)


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total and what


@pytest.fixture(scope="session")
def world() -> Scene:
    return make_synthetic_scene(
        SyntheticSettings(width=288, height=192, train_views=8, test_views=0, points=4, samples=4, blurs=("sharp",))
    )


@pytest.fixture(scope="session")
def photos(world: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight JPEGs, 288 x 192, whose EXIF data tells their focal length (288 px); one is stored lying on its side."""
    folder = tmp_path_factory.mktemp("photos")
    for number, view in enumerate(world.train):
        exif = Image.Exif()
        exif[271], exif[272] = "Maker", "Model"
        exif.get_ifd(0x8769)[41989] = 36  # mm on 36 x 24 mm film
        photo = view.load()
        if number == 2:
            exif[274] = 6  # turn it by 90 degrees clockwise to see it upright
            photo = photo.transpose(Image.Transpose.ROTATE_90)
        photo.save(folder / f"IMG {number}.JPG", format="JPEG", quality=95, exif=exif)
    return folder


@pytest.fixture(scope="session")
def scene(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The scene of these photos, of a copy cut short and of a note among them."""
    source = tmp_path_factory.mktemp("trip")
    for photo in photos.iterdir():
        (source / photo.name).write_bytes(photo.read_bytes())
    (source / "notes.txt").write_text("sunny")
    (source / "cut.jpg").write_bytes((photos / "IMG 0.JPG").read_bytes()[:2000])
    (source / ".hidden").touch()
    return prepare(source, tmp_path_factory.mktemp("scenes") / "trip", SMALL, 0, silent)
