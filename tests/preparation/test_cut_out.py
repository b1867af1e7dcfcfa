"""Photos that are transparent or masked in part: no details are found there, and the scene knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.pyramid import opaque
from bags.errors import DataError
from bags.io.images import read_image
from bags.preparation.cut_out import has_alpha, on_black, put_together, take_covers, without_hidden
from bags.preparation.intake import take_in
from bags.preparation.scene import prepare
from bags.settings import DatasetSettings
from tests.preparation.conftest import SMALL, silent
from tests.preparation.test_intake import other


def cut(photo: Image.Image, margin: int) -> Image.Image:
    """Transparent at the sides, with what was there still below; half transparent for one pixel more."""
    alpha = np.zeros((photo.height, photo.width), dtype=np.uint8)
    alpha[:, margin:-margin] = 128
    alpha[:, margin + 1 : -margin - 1] = 255
    photo = photo.convert("RGBA")
    photo.putalpha(Image.fromarray(alpha))
    return photo


def test_removed_background_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "into").mkdir()
    for name in ("a.png", "b.webp", "c.tif"):
        cut(other(ord(name[0])), 20).save(tmp_path / "photos" / name, **({"lossless": True} if "b" in name else {}))
    other(1).convert("RGBA").save(tmp_path / "photos/whole.png")
    Image.new("RGBA", (96, 64), (9, 9, 9, 0)).save(tmp_path / "photos/nothing.png")
    photos, dropped = take_in(tmp_path / "photos", tmp_path / "into", silent)
    assert [item.reason for item in dropped] == ["the photo is fully transparent"]
    assert [photo.cut_out for photo in photos] == [True, True, True, False]
    for photo in photos[:3]:
        pixels = np.asarray(read_image(tmp_path / "into" / photo.name))
        assert pixels.shape == (64, 96, 4) and not pixels[:, :20].any() and not pixels[:, -20:].any()
        assert np.array_equal(pixels, np.asarray(without_hidden(cut(other(ord(photo.name[0])), 20))))
    assert read_image(tmp_path / "into/whole.png").mode == "RGB"


def test_transparency_comes_back(tmp_path: Path) -> None:
    photo = cut(other(3), 20)
    for folder, picture in (("photos", on_black(photo)), ("alphas", photo.getchannel("A").convert("RGB"))):
        (tmp_path / folder).mkdir()
        picture.save(tmp_path / folder / "a.png")
    put_together(tmp_path / "photos", tmp_path / "alphas")
    found = read_image(tmp_path / "photos/a.png")
    assert np.array_equal(np.asarray(found)[..., 3], np.asarray(photo)[..., 3])
    assert np.abs(np.asarray(on_black(found), dtype=int) - np.asarray(on_black(photo), dtype=int)).max() <= 1


def noisy_but_the_first(photos: Path) -> Iterator[tuple[Image.Image, Image.Exif]]:
    """The photos upright, with noise over both sides of all but the first."""
    for number, path in enumerate(sorted(photos.iterdir())):
        photo = read_image(path)
        exif = photo.getexif()
        if exif.get(274) == 6:
            photo, exif[274] = photo.transpose(Image.Transpose.ROTATE_270), 1
        if number:
            noise = Image.fromarray(np.random.default_rng(number).integers(0, 256, (*photo.size[::-1], 3), np.uint8))
            noise.paste(photo.crop((40, 0, 248, 192)), (40, 0))
            photo = noise
        yield photo, exif


def test_a_scene_of_cut_out_photos(photos: Path, tmp_path: Path) -> None:
    """One of them is whole; the noise below what was removed would hold most of the details."""
    (tmp_path / "photos").mkdir()
    for number, (photo, exif) in enumerate(noisy_but_the_first(photos)):
        if number:
            photo = cut(photo, 40)
        photo.save(tmp_path / "photos" / f"{number}.{'png' if number else 'jpg'}", exif=exif)
    made = prepare(tmp_path / "photos", tmp_path / "scene", SMALL, 0, silent)
    assert made.record["placed"] == 8
    assert sorted(path.name for path in made.root.iterdir()) == ["images", "prepare.json", "sparse", "test.txt"]
    scene = parse_colmap(DatasetSettings(parser="colmap", root=str(made.root)))
    for view in (*scene.train, *scene.test):
        photo = view.load()
        assert photo.size == (view.camera.width, view.camera.height) and has_alpha(photo) == (view.name != "0.jpg")
        if view.name != "0.jpg":
            assert np.asarray(opaque(photo, (0, 0, 0)))[:, :30].max() == 0
            assert np.asarray(opaque(photo, (255, 255, 255)))[:, :30].min() == 255
            assert np.asarray(photo)[60:130, 80:200, 3].min() == 255


def test_a_scene_of_masked_photos(photos: Path, tmp_path: Path) -> None:
    """Noise over both sides, hidden by masks but for one photo, which has none; masks lie beside ``images/``."""
    (tmp_path / "trip/images").mkdir(parents=True)
    (tmp_path / "trip/masks").mkdir()
    for number, (photo, exif) in enumerate(noisy_but_the_first(photos)):
        if number:
            mask = Image.new("L", photo.size)
            mask.paste(255, (40, 0, 248, 192))
            mask.save(tmp_path / f"trip/masks/{number}.jpg.png")
        photo.convert("RGB").save(tmp_path / f"trip/images/{number}.jpg", exif=exif, quality=95)
    made = prepare(tmp_path / "trip/images", tmp_path / "scene", SMALL, 0, silent)
    assert made.record["placed"] == 8
    assert sorted(path.name for path in (made.root / "masks").iterdir()) == [f"{n}.jpg.png" for n in range(1, 8)]
    scene = parse_colmap(DatasetSettings(parser="colmap", root=str(made.root)))
    for view in (*scene.train, *scene.test):
        assert (view.mask is None) == (view.name == "0.jpg")
        if view.mask is not None:
            mask = np.asarray(view.mask())
            assert mask.shape == (view.camera.height, view.camera.width)
            assert not mask[:, :30].any() and not mask[:, -30:].any() and mask[:, 60:220].all()


@pytest.mark.parametrize("folder", ["trip/images", "trip"])
def test_masks_are_found_and_have_to_fit(folder: str, tmp_path: Path) -> None:
    for name in ("trip/images", "trip/masks", "work/photos"):
        (tmp_path / name).mkdir(parents=True)
    other(1).save(tmp_path / "work/photos/a.jpg")
    photo = "a b.jpg" if folder.endswith("images") else "images/a b.jpg"
    mask = tmp_path / "trip/masks/a b.jpg.png"
    Image.new("L", (64, 96), 255).save(mask)
    with pytest.raises(DataError, match=r"a b\.jpg\.png: the mask has 64 x 96 pixels, but its photo a\.jpg 96 x 64"):
        take_covers(tmp_path / folder, tmp_path / "work", [("a.jpg", photo)])
    (tmp_path / "work/covers").rmdir()
    Image.new("L", (96, 64), 255).save(mask)
    assert take_covers(tmp_path / folder, tmp_path / "work", [("a.jpg", photo)])
    assert read_image(tmp_path / "work/covers/a.jpg").size == (96, 64)


@pytest.mark.parametrize("level", [None, 0])
def test_nothing_is_left_where_a_mask_cannot_be(level: int | None, tmp_path: Path) -> None:
    """An empty file, and one that hides all, among good photos: reported before they are placed."""
    for name in ("trip/images", "trip/masks"):
        (tmp_path / name).mkdir(parents=True)
    for seed in range(3):
        other(seed).save(tmp_path / f"trip/images/{seed}.jpg")
    mask = tmp_path / "trip/masks/1.jpg.png"
    mask.write_bytes(b"") if level is None else Image.new("L", (96, 64), level).save(mask)
    with pytest.raises(DataError, match=r"1\.jpg\.png: (cannot be read as an image|the mask hides all of)") as found:
        prepare(tmp_path / "trip/images", tmp_path / "scene", SMALL, 0, silent)
    assert "\n" not in str(found.value) and [path.name for path in tmp_path.iterdir()] == ["trip"]
