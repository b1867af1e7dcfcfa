"""Photos of all kinds, set upright, told apart by camera, and what cannot be used told why."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bags.io.images import read_image
from bags.preparation import intake
from bags.preparation.intake import safe_name, take_in
from tests.preparation.conftest import silent

# ``picture()`` with a focal length of 26 mm, as a phone writes it (made with pillow-heif's encoder).
HEIC = (
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004(ZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-+&aV*mgE07O"
    "6l0ssL300001y8r<I00000003$L0ssI200Jcd0RR9100000HUIzsIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB0000LX>Mj^0ssI30"
    "0IC2MR;ju000004sdC7Z2$lO00031007o$aB^?}006gXaAR)(004Msc4I>U18@KU0FVFx0000U@BsY%`1k+-4+CHT0RR|40Sp2E{{wIU00RJ"
    "!0009300RIXx&lC90096iLID8-Z~y=U0FVFx0{{R603M()fd!W8Nhz*w0vZem00093$N&HX00=;000968L;=Baup&SJ000wXZ)|dIV{CW;0R"
    "RmE27mwn02FC+aAg1h000000AK(B06+i$01$9#cxeCt0009B2nYZG02gU+ZD9Za00000009621c3qr1ONa48fkK6W&i*H000004r63<V*mmG"
    "0RRC2005|MWMOmw003qv0j~+*#^3%$(SNV^_$;B2|KPtQ;Pr|1jQK+O<9UH25B~oyC7k9;Z()8dX5Gu`mXfM*$PM@QJp3SO$g<K0B)92#8dE"
    "Yc%)6^Qyi<5vEdS{g000)ud{k^Un&W&?5;Q$MU;qFB21R&jW&i+9O#mtY000O80f%V-1ONa40RR918UO$Q0004`1pos8000318UO$Q0000"
)


def picture(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Red above, blue below, on the left a white bar: every orientation looks different."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[: size[1] // 2, :, 0] = 200
    pixels[size[1] // 2 :, :, 2] = 200
    pixels[:, : size[0] // 8] = 255
    return Image.fromarray(pixels)


def other(number: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Patches of colour, unlike those of any other number."""
    patches = np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def exif_of(**tags: object) -> Image.Exif:
    numbers = {"orientation": 0x0112, "make": 0x010F, "model": 0x0110}
    exif = Image.Exif()
    for name, value in tags.items():
        if name in ("film", "focal", "lens"):
            exif.get_ifd(0x8769)[{"film": 0xA405, "focal": 0x920A, "lens": 0xA434}[name]] = value
        else:
            exif[numbers[name]] = value
    return exif


def taken(source: Path, tmp_path: Path) -> tuple[dict[str, intake.Photo], dict[str, str], Path]:
    into = tmp_path / "into"
    into.mkdir()
    photos, dropped = take_in(source, into, silent)
    assert {path.name for path in into.iterdir()} == {photo.name for photo in photos}
    return {photo.source: photo for photo in photos}, {item.source: item.reason for item in dropped}, into


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def test_photos_are_set_upright_and_keep_their_focal_length(tmp_path, subtests) -> None:
    undone = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    for orientation, suffix in product(undone, ("jpg", "png")):
        with subtests.test(orientation=orientation, suffix=suffix):
            source = tmp_path / f"{orientation} {suffix}/photos"
            source.mkdir(parents=True)
            exif = exif_of(orientation=orientation, film=28)
            picture().transpose(undone[orientation]).save(source / f"a.{suffix}", exif=exif)
            photos, _, into = taken(source, source.parent)
            (photo,) = photos.values()
            copy = read_image(into / photo.name)
            assert copy.size == (96, 64) == (photo.width, photo.height)
            difference = np.asarray(copy, dtype=int) - np.asarray(picture(), dtype=int)
            assert np.abs(difference).mean() < 6  # JPEG twice; an orientation missed gives 60 and more
            assert copy.getexif().get(0x0112, 1) == 1
            assert copy.getexif().get_ifd(0x8769)[0xA405] == 28


def test_upright_jpegs_are_copied_byte_by_byte(source, tmp_path) -> None:
    picture().save(source / "a.jpeg", exif=exif_of(orientation=1), quality=60)
    _, _, into = taken(source, tmp_path)
    assert (into / "a.jpg").read_bytes() == (source / "a.jpeg").read_bytes()


def test_other_formats_become_eight_bit_colour(source, tmp_path) -> None:
    picture().convert("L").save(source / "grey.jpg")
    picture().convert("RGBA").save(source / "alpha.png")
    picture().convert("CMYK").save(source / "print.tif")
    picture().convert("P").save(source / "palette.bmp")
    photos, dropped, into = taken(source, tmp_path)
    assert not dropped
    assert {photo.name for photo in photos.values()} == {"grey.jpg", "alpha.png", "print.png", "palette.png"}
    for photo in photos.values():
        with Image.open(into / photo.name) as copy:
            assert copy.mode == "RGB" and copy.size == (96, 64)


def test_cameras_are_distinguished(source, tmp_path) -> None:
    picture().save(source / "a1.jpg", exif=exif_of(make="A", model="One", film=28))
    other(1).save(source / "a2.jpg", exif=exif_of(make="A", model="One", film=28))
    picture().save(source / "zoomed.jpg", exif=exif_of(make="A", model="One", film=50))
    picture().save(source / "b.jpg", exif=exif_of(make="B", model="Two\0", film=28))
    picture((64, 96)).save(source / "upright.jpg", exif=exif_of(make="A", model="One", film=28))
    picture().save(source / "bare.jpg")
    photos, _, _ = taken(source, tmp_path)
    cameras = {name: photo.camera for name, photo in photos.items()}
    assert cameras["a1.jpg"] == cameras["a2.jpg"] == "A, One, 28 mm, 96 x 64"
    assert cameras["b.jpg"] == "B, Two, 28 mm, 96 x 64"
    assert cameras["bare.jpg"] == "96 x 64"
    assert len(set(cameras.values())) == 5


def test_lens_and_zoom_tell_cameras_apart(tmp_path, subtests) -> None:
    for case, (one, two, same) in enumerate((
        ({"focal": 4.25, "film": 26}, {"focal": 4.2, "film": 26}, True),  # moved by the autofocus
        ({"focal": 4.2, "film": 26}, {"focal": 4.2, "film": 52}, False),  # zoomed by cropping
        ({"focal": 1.5, "film": 26}, {"focal": 4.2, "film": 26}, False),
        ({"focal": 106.0}, {"focal": 110.0}, True),
        ({"focal": 50.0, "lens": "prime"}, {"focal": 50.0, "lens": "zoom"}, False),
        ({"focal": 0.0}, {}, True),
    )):  # fmt: skip
        source = tmp_path / f"{case}/photos"
        source.mkdir(parents=True)
        with subtests.test(one=one, two=two):
            for number, tags in enumerate((one, two)):
                other(number).save(source / f"{number}.jpg", exif=exif_of(make="A", model="One", **tags))
            photos, _, _ = taken(source, source.parent)
            assert (photos["0.jpg"].camera == photos["1.jpg"].camera) == same
            assert photos["0.jpg"].camera == "A, One, 110 mm, 96 x 64" or one != {"focal": 106.0}


def test_pixels_that_are_not_square(source, tmp_path) -> None:
    """A scanner's, or a film frame's: the file says how many of them make a length."""
    other(1).save(source / "wide.jpg", dpi=(72, 96))
    other(2).save(source / "high.png", dpi=(144, 72))
    other(3).save(source / "square.jpg", dpi=(300, 300))
    other(4).save(source / "odd.jpg", dpi=(1, 90))
    photos, _, into = taken(source, tmp_path)
    sizes = {name: (photo.width, photo.height) for name, photo in photos.items()}
    assert sizes == {"wide.jpg": (128, 64), "high.png": (96, 128), "square.jpg": (96, 64), "odd.jpg": (96, 64)}
    assert all(read_image(into / photo.name).size == sizes[name] for name, photo in photos.items())


def test_tiffs_are_set_upright_once(source, tmp_path) -> None:
    lying = picture().transpose(Image.Transpose.ROTATE_90)
    lying.save(source / "a.tif", exif=exif_of(orientation=6))
    photos, _, into = taken(source, tmp_path)
    assert np.array_equal(np.asarray(read_image(into / photos["a.tif"].name)), np.asarray(picture()))


def test_photos_come_in_the_order_of_counting(source, tmp_path) -> None:
    for number, name in enumerate(("img10.jpg", "IMG2.jpg", "img1.jpg", "b/1.jpg")):
        (source / name).parent.mkdir(exist_ok=True)
        other(number).save(source / name)
    photos, _, _ = taken(source, tmp_path)
    assert list(photos) == ["b/1.jpg", "img1.jpg", "IMG2.jpg", "img10.jpg"]


def test_jpegs_by_other_names(source, tmp_path) -> None:
    for number, name in enumerate(("a.jfif", "b.JPE", "c.mpo")):
        other(number).save(source / name, format="JPEG")
    (source / "d.gif").write_bytes(b"GIF89a")
    photos, dropped, _ = taken(source, tmp_path)
    assert list(photos) == ["a.jfif", "b.JPE", "c.mpo"]
    assert dropped == {"d.gif": "this format is not supported: save it as JPEG or PNG"}


def test_unusable_photos_are_reported_with_the_reason(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as if not installed
    monkeypatch.setattr(Image, "registered_extensions", lambda: {".jpg": "JPEG"})
    picture().save(source / "good.jpg")
    picture((96, 40)).save(source / "flat.png")
    (source / "cut.jpg").write_bytes((source / "good.jpg").read_bytes()[:500])
    (source / "empty.jpg").touch()
    Image.fromarray(np.zeros((64, 64), dtype=np.uint16)).save(source / "deep.png")
    for name in ("notes.txt", "phone.HEIC", "camera.dng", "clip.mov", "text.jpg"):
        (source / name).write_text("no picture")
    photos, dropped, _ = taken(source, tmp_path)
    assert list(photos) == ["good.jpg"]
    assert dropped.pop("notes.txt") == "not a photo"
    assert dropped.pop("flat.png") == "96 x 40 pixels; at least 64 are needed"
    assert "pip install -e '.[heic]'" in dropped.pop("phone.HEIC")
    assert "develop" in dropped.pop("camera.dng")
    assert "source=" in dropped.pop("clip.mov")
    assert "8 bits" in dropped.pop("deep.png")
    assert set(dropped) == {"cut.jpg", "empty.jpg", "text.jpg"}
    assert all(reason.startswith("cannot be read as an image") for reason in dropped.values())


def test_heic(source, tmp_path) -> None:
    pytest.importorskip("pi_heif")
    (source / "phone.HEIC").write_bytes(base64.b85decode(HEIC))
    photos, dropped, into = taken(source, tmp_path)
    assert not dropped and photos["phone.HEIC"].name == "phone.jpg"
    copy = read_image(into / "phone.jpg")
    assert copy.size == (96, 64) and copy.getexif().get_ifd(0x8769)[0xA405] == 26
    assert np.abs(np.asarray(copy, dtype=int) - np.asarray(picture(), dtype=int)).mean() < 8  # measured 2.2


def test_names_are_safe_and_unlike(source, tmp_path) -> None:
    (source / "day 2").mkdir()
    for number, name in enumerate(("a.jpg", "A.JPEG", "a.png", "day 2/a.jpg", "day_2_a.jpg", "ü ñ.jpg", "-x.jpg")):
        other(number).save(source / name)
    photos, _, _ = taken(source, tmp_path)
    names = [photo.name for photo in photos.values()]
    assert len({Path(name).stem.casefold() for name in names}) == 7
    assert photos["day 2/a.jpg"].name == "day_2_a.jpg" and photos["day_2_a.jpg"].name == "day_2_a_2.jpg"
    assert safe_name("..", ".jpg", set()) == "photo.jpg" and safe_name("a/../b", ".jpg", set()) == "a_.._b.jpg"


def test_damaged_exif_data_are_ignored(source, tmp_path) -> None:
    intact = exif_of(orientation=1, make="Acme", film=28).tobytes()
    rng = np.random.default_rng(0)
    damaged = [intact[:6] + rng.bytes(len(intact) - 6) for _ in range(4)] + [intact[:6] + b"\xff" * (len(intact) - 6)]
    names = [f"{number}{suffix}" for number in range(len(damaged)) for suffix in ("a.jpg", "b.png", "c.webp")]
    for number, name in enumerate(names):
        other(number).save(source / name, exif=damaged[int(name[0])])
    photos, dropped, _ = taken(source, tmp_path)
    assert set(photos) == set(names) and not dropped


def test_trailing_data_of_a_photo_are_not_copied(source, tmp_path) -> None:
    picture().save(source / "a.jpg")
    with (source / "a.jpg").open("ab") as file:
        file.truncate(50_000_000)
    photos, _, into = taken(source, tmp_path)
    assert set(photos) == {"a.jpg"} and (into / "a.jpg").stat().st_size < 20_000


def test_long_and_strange_names(source, tmp_path) -> None:
    long = "x" * 250 + ".jpg", "x" * 240 + "yy.jpg"
    names = [*long, "[red].jpg", "=1+1.jpg", ".a.jpg", "<b>.jpg", "a\nb.jpg", "-rf.jpg"]
    for number, name in enumerate(names):
        other(number).save(source / name)
    (source / ".DS_Store").touch()
    photos, dropped, into = taken(source, tmp_path)
    assert set(photos) == set(names) - {".a.jpg"} and dropped == {".a.jpg": "a hidden file"}
    assert all(len(path.name) < 60 and path.name.isprintable() for path in into.iterdir())


def test_names_that_are_not_utf8(source, tmp_path) -> None:
    """They are told escaped, in text that every file takes."""
    raw = Path(os.fsdecode(os.fsencode(source) + b"/M\xfcller.jpg"))
    other(1).save(raw)
    shutil.copyfile(raw, raw.with_name("copy of \udcff.jpg"))
    raw.with_suffix(".txt").touch()
    photos, dropped, into = taken(source, tmp_path)
    assert list(photos) == ["M\\udcfcller.jpg"] and (into / "M_ller.jpg").is_file()
    assert dropped == {"M\\udcfcller.txt": "not a photo", "copy of \\udcff.jpg": "the same file as M\\udcfcller.jpg"}
