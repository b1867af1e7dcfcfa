"""What lies beside photos and is no photo of its own is left out, and told; what only looks so is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bags.io.images import read_image
from bags.preparation.intake import take_in
from tests.preparation.conftest import silent
from tests.preparation.test_intake import other

N = 3
Maker = Callable[[Path, list[Path]], None]


def smaller(folder: str, suffix: str = ".jpg", words: str = "") -> Maker:
    def make(source: Path, photos: list[Path]) -> None:
        (source / folder).mkdir(exist_ok=True)
        for path in photos:
            read_image(path).resize((130, 100)).save(source / folder / f"{path.stem}{words}{suffix}")

    return make


def beside(pattern: str, picture: Callable[[Path], Image.Image] | None = None) -> Maker:
    """A file for every photo, called ``pattern``: its bytes, or another picture."""

    def make(source: Path, photos: list[Path]) -> None:
        for path in photos:
            place = source / pattern.format(stem=path.stem, name=path.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if picture is None:
                place.write_bytes(path.read_bytes())
            else:
                picture(path).save(place)

    return make


def mask(path: Path) -> Image.Image:
    return read_image(path).convert("L").point(lambda value: 255 * (value > 100))


def again(path: Path) -> Image.Image:
    return read_image(path)


def strange(path: Path) -> Image.Image:
    return other(ord(path.stem[-1]) + 50, (100, 80))


def results(marker: str) -> Maker:
    def make(source: Path, photos: list[Path]) -> None:
        beside("result/test/{stem}.png", strange)(source, photos)
        (source / "result" / marker).touch()

    return make


LEFT_OUT: dict[str, tuple[Maker, dict[str, str]]] = {
    "smaller": (smaller("images_2"), {"images_2/": "3 files: the same shot as another"}),
    "smaller_png": (smaller("images_4", ".png"), {"images_4/": ""}),
    "by_any_name": (smaller("for the web"), {"for the web/": ""}),
    "thumbnails": (smaller("images", words="_thumb"), {f"images/{i}_thumb.jpg": "same shot" for i in range(1, 4)}),
    "sizes": (smaller("images", words="-130x100"), {f"images/{i}-130x100.jpg": "same shot" for i in range(1, 4)}),
    "masks": (beside("masks/{name}.png", mask), {"masks/": "3 files: masks"}),
    "Masks": (beside("Masks/cam/{stem}.png", mask), {"Masks/": "3 files: masks"}),
    "masks_beside": (beside("images/{name}.png", mask), {f"images/{i}.jpg.png": "belongs to" for i in range(1, 4)}),
    "_mask": (beside("images/{stem}_mask.png", mask), {f"images/{i}_mask.png": "a mask" for i in range(1, 4)}),
    "depth_": (beside("images/depth_{stem}.png", mask), {f"images/depth_{i}.png": "depth" for i in range(1, 4)}),
    "depth": (beside("depth/{stem}.png", mask), {"depth/": "3 files: depth maps"}),
    "synology": (beside("images/@eaDir/{name}/SYNO_THUMB.jpg", strange), {"images/@eaDir/": "3 files: thumbnails"}),
    "trash": (beside("$RECYCLE.BIN/{name}", strange), {"$RECYCLE.BIN/": "thrown away"}),
    "hidden": (beside(".Trash-1000/{name}", strange), {".Trash-1000/": "3 files: a hidden file"}),
    "apple_double": (beside("images/._{name}", strange), {f"images/._{i}.jpg": "hidden" for i in range(1, 4)}),
    "mac_zip": (beside("__MACOSX/{name}", strange), {"__MACOSX/": ""}),
    "copies": (
        beside("images/{stem} (1).jpg"),
        {f"images/{i} (1).jpg": f"the same file as images/{i}.jpg" for i in range(1, 4)},
    ),
    "copies_elsewhere": (beside("backup/x{name}"), {"backup/": "3 files: the same file as another"}),
    "saved_again": (
        beside("images/{stem} - Copy.jpg", again),
        {f"images/{i} - Copy.jpg": "same shot" for i in range(1, 4)},
    ),
    "other_format": (beside("images/{stem}.png", again), {f"images/{i}.png": "same shot" for i in range(1, 4)}),
    "iphone_edit": (beside("images/{stem}-edited.jpg", again), {f"images/{i}-edited.jpg": "" for i in range(1, 4)}),
    "our_run": (results("metrics.json"), {"result/": "4 files: another program's results"}),
    "a_3dgs_run": (results("cfg_args"), {"result/": ""}),
    "dense": (beside("dense/images/{name}", strange), {"dense/": ""}),
    "texts": (beside("notes/{stem}.txt"), {"notes/": "3 files: not a photo"}),
    "raw": (beside("images/{stem}.CR2"), {f"images/{i}.CR2": "a raw file whose developed" for i in range(1, 4)}),
}


def scene(folder: Path, make: Maker) -> tuple[list[str], dict[str, str]]:
    """What is taken of photos with what is made beside them, and what is left out and why."""
    source, into = folder / "photos", folder / "into"
    (source / "images").mkdir(parents=True)
    into.mkdir()
    photos = [source / "images" / f"{number}.jpg" for number in range(1, N + 1)]
    for number, path in enumerate(photos):
        other(number, (260, 200)).save(path, quality=95)
    make(source, photos)
    taken, dropped = take_in(source, into, silent)
    assert {path.name for path in into.iterdir()} == {photo.name for photo in taken}
    assert all(not item.photo for item in dropped)
    return [photo.source for photo in taken], {item.source: item.reason for item in dropped}


def test_files_that_are_not_photos_are_omitted_and_reported(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for case, (make, wanted) in LEFT_OUT.items():
        with subtests.test(case):
            taken, told = scene(tmp_path / f"case {case}", make)
            assert taken == [f"images/{number}.jpg" for number in range(1, N + 1)]
            assert set(told) == set(wanted) and all(wanted[name] in told[name] for name in told), told


TAKEN: dict[str, Maker] = {
    "another camera that counts alike": beside("cam2/{name}", strange),
    "another format": beside("images/{stem}.png", strange),
    "a numbered folder": beside("images (2)/x{name}", strange),
    "a numbered file": beside("images/{stem} (1).jpg", strange),
    "a folder like a reduced one": beside("garden_2/{name}", strange),
    "mirrored": beside("images/y{name}", lambda path: again(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


def test_photos_of_their_own_are_taken(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for case, make in TAKEN.items():
        with subtests.test(case):
            taken, told = scene(tmp_path / case, make)
            assert len(taken) == 2 * N and not told


def test_names_numbered_in_brackets_are_not_copies(tmp_path: Path) -> None:
    def make(source: Path, photos: list[Path]) -> None:
        for path in photos:
            for number in (1, 2):
                near = read_image(path).crop((number, 0, 260, 200)).resize((260, 200))
                near.save(path.with_name(f"{path.stem} ({number}).jpg"))

    taken, told = scene(tmp_path, make)
    assert len(taken) == 3 * N and not told


def test_folder_called_masks_is_read_if_it_is_the_source(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "into").mkdir()
    other(1).save(tmp_path / "masks/venice.jpg")
    taken, dropped = take_in(tmp_path / "masks", tmp_path / "into", silent)
    assert [photo.source for photo in taken] == ["venice.jpg"] and not dropped
