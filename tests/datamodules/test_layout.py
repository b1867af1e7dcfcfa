"""Where other tools put a model and its photos, and how they call the photos."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from itertools import product

import numpy as np
import pytest

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.parsers.split import split
from bags.errors import DataError
from bags.settings import DatasetSettings
from tests.ply_files import as_written_elsewhere

pytestmark = pytest.mark.usefixtures("read_here")


def parsed(root, **kwargs):
    return parse_colmap(DatasetSettings(parser="colmap", root=str(root), **kwargs))


def moved(root, model, photos):
    """The scene with its model and its photos in other folders."""
    for old, new in (("images", photos), ("sparse/0", model)):
        (root / new).mkdir(parents=True, exist_ok=True)
        for path in list((root / old).iterdir()):
            shutil.move(path, root / new / path.name)
        if not any((root / old).iterdir()):
            (root / old).rmdir()
    return root


PLACES = {  # of model and photos
    "sparse": "images",
    "Sparse/0": "Images",
    ".": ".",  # RealityScan
    "images": "images",
    "colmap/sparse/0": "images",  # nerfstudio
    "colmap_text": "images",  # instant-ngp
    "dense/0/sparse": "dense/0/images",  # COLMAP's automatic reconstructor
    "undistorted/sparse": "undistorted/images",
    "distorted/sparse/0": "input",  # 3DGS
    "sparse/0": "photos",
    "sparse/geo": "images",
    "a/b/c/d": "images",
}


def test_where_tools_put_models_and_photos(colmap_scene, subtests):
    plain = parsed(colmap_scene(), hold=2)
    assert [view.name for view in plain.test] == ["a.png", "c.png"]
    for model, photos in PLACES.items():
        with subtests.test(model, photos=photos):
            scene = parsed(moved(colmap_scene(), model, photos), hold=2)
            assert [view.name for view in scene.train] == ["b.png", "d.png"]
            assert [view.name for view in scene.test] == ["a.png", "c.png"]
            assert scene.train[0].camera.center.equal(plain.train[0].camera.center)
            assert scene.points.xyz.equal(plain.points.xyz)


def test_an_undistorted_model_has_its_own_photos(colmap_scene):
    root = colmap_scene()
    shutil.copytree(root / "images", root / "dense/images")
    shutil.move(root / "sparse/0", root / "dense/sparse")
    assert parsed(root).train[0].load.args[0].parent == root / "dense/images"


def several(root, counts):
    """Models of the first so many photos, in ``sparse/<key>``."""
    lines = (root / "sparse/0/images.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    whole = root / "whole"
    shutil.move(root / "sparse/0", whole)
    for name, count in counts.items():
        shutil.copytree(whole, root / "sparse" / name)
        (root / "sparse" / name / "images.txt").write_text("\n".join(lines[: 2 * count]) + "\n")
    shutil.rmtree(whole)
    return root


def test_of_several_models_the_one_with_most_photos(colmap_scene, caplog, subtests):
    for counts, taken, used in (
        ({"0": 2, "1": 4}, "sparse/1", 4),
        ({"0": 3, "1": 1}, "sparse/0", 3),
        ({"0": 2, "1": 2}, "sparse/0", 2),
        ({"0": 1, "2": 3, "10": 3}, "sparse/2", 3),
    ):
        with subtests.test(counts=counts):
            root = several(colmap_scene(text=True), counts)
            caplog.clear()
            scene = parsed(root, hold=None)
            assert len(scene.train) == used
            assert f"the model in {taken} is used ({used} photos); there is also sparse/" in caplog.text
            left = f"{used} of 4 photos of images/ used ({4 - used} left out"
            assert scene.summary.startswith(left if used < 4 else "all 4 photos")
            assert len(parsed(root, hold=None, sparse="sparse/0").train) == counts["0"]


def test_a_damaged_model_beside_is_not_the_largest(colmap_scene):
    root = colmap_scene()
    shutil.copytree(root / "sparse/0", root / "sparse/1")
    (root / "sparse/1/images.bin").write_bytes(b"\xff" * 100)
    assert len(parsed(root, hold=None).train) == 4
    with pytest.raises(DataError, match=r"sparse/7: no COLMAP model; set dataset\.sparse"):
        parsed(root, sparse="sparse/7")


def test_alternatives_are_named(tmp_path, subtests):
    for file, message in {
        "transforms.json": r"transforms\.json is nerfstudio's .* add dataset=nerfstudio",
        "transforms_train.json": r"add dataset=blender",
        "metadata.json": r"add dataset=multiscale_blender",
        "database.db": r"database\.db is COLMAP's features and matches only: run its mapper",
        "trip.psx": r"trip\.psx is a Metashape project: export",
        "bundle_001.out": r"Bundler's format",
    }.items():
        (tmp_path / file).touch()
        with subtests.test(file), pytest.raises(DataError, match=f"no COLMAP model .*{message}"):
            parsed(tmp_path)
        (tmp_path / file).unlink()


def test_folders_that_may_be_meant_are_named(colmap_scene):
    root = colmap_scene()
    with pytest.raises(DataError, match=rf"no COLMAP model .* set dataset\.root={root}"):
        parsed(root / "images")
    with pytest.raises(DataError, match=rf"no such folder of photos; .* set dataset\.root={root}"):
        parsed(root / "sparse")
    (root / "images").rename(root / "images_4")
    with pytest.raises(DataError, match=r"there are photos in images_4.*reduced photos also set dataset\.factor=1"):
        parsed(root)


def test_names_that_begin_elsewhere(colmap_scene, subtests):
    root = colmap_scene(text=True)
    path = root / "sparse/0/images.txt"
    intact = path.read_text()
    homes = "C:\\Users\\me\\images\\", "/home/me/trip/images/"
    for prefix in ("images/", "./images/", "images\\", ".\\", *homes, "../images/", "trip/"):
        with subtests.test(prefix):
            path.write_text(re.sub(r"(?=[abcd]\.png$)", prefix.replace("\\", "\\\\"), intact, flags=re.MULTILINE))
            assert path.read_text().count(prefix) == 4
            assert [view.name for view in parsed(root, hold=2).test] == ["a.png", "c.png"]


def test_a_photo_in_a_folder_is_not_the_one_above_it(colmap_scene):
    root = colmap_scene(names=("cam1/b.png", "cam1/a.png", "a.png"))
    (root / "images/cam1/a.png").unlink()
    with pytest.raises(DataError, match=r"images/cam1/a\.png: no such photo"):
        parsed(root)
    shutil.rmtree(root / "images/cam1")
    with pytest.raises(DataError, match=r"images/a\.png: is the photo of 2 views"):
        parsed(root, missing_photos="skip")


def test_files_in_another_letter_case_or_form(colmap_scene):
    root = colmap_scene(names=("Küche 1.PNG", "Küche 2.PNG"), text=True)
    for form in (str.lower, lambda name: unicodedata.normalize("NFD", name)):
        for path in list((root / "images").iterdir()):
            path.rename(path.with_name(form(path.name)))
        assert [view.name for view in parsed(root, hold=None).train] == ["Küche 1.PNG", "Küche 2.PNG"]


def test_file_names_that_are_not_utf_8(colmap_scene):
    root = colmap_scene(names=("Küche.png", "b.png"))
    folder = os.fsencode(root / "images")
    os.rename(os.path.join(folder, "Küche.png".encode()), os.path.join(folder, b"K\xfcche.png"))
    scene = parsed(root, hold=None)
    assert [view.name for view in scene.train] == ["Küche.png", "b.png"]
    assert scene.train[0].load().size == (48, 32)


def write_points(path, colours=("red", "green", "blue"), kind="u1", level=200):
    columns = [("x", "f4"), ("y", "f4"), ("z", "f4"), *((name, kind) for name in colours)]
    rows = np.array([(1, 2, 3, *[level] * len(colours)), (4, 5, 6, *[0] * len(colours))], dtype=columns)
    as_written_elsewhere(path, rows)


def test_points_of_a_ply_file(colmap_scene, subtests):
    root = colmap_scene(points=0)
    for empty, (colours, kind, level, expected) in product(
        (True, False),
        (
            (("red", "green", "blue"), "u1", 51, 0.2),
            (("red", "green", "blue"), "f4", 0.2, 0.2),
            (("r", "g", "b"), "u2", 13107, 0.2),
            ((), "u1", 0, 128 / 255),
        ),
    ):
        with subtests.test(empty=empty, colours=colours, kind=kind):
            if not empty:
                (root / "sparse/0/points3D.bin").unlink(missing_ok=True)
            write_points(root / "sparse/0/points3D.ply", colours, kind, level)
            points = parsed(root).points
            assert points.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]
            assert points.rgb[0].tolist() == pytest.approx([expected] * 3)


def test_ply_file_without_gaussians(colmap_scene):
    root = colmap_scene(points=0)
    (root / "sparse/0/points3D.ply").write_bytes(b"ply\nformat ascii 1.0\nelement face 0\nend_header\n")
    with pytest.raises(DataError, match=r"points3D\.ply: cannot be read as a PLY file of points"):
        parsed(root)


def test_a_missing_photo_moves_no_test_view(colmap_scene):
    root = colmap_scene()
    (root / "images/b.png").unlink()
    with pytest.raises(DataError, match=r"images/b\.png: no such photo.*dataset\.missing_photos=skip"):
        parsed(root, hold=2)
    scene = parsed(root, hold=2, missing_photos="skip")
    assert [view.name for view in scene.test] == ["a.png", "c.png"]
    assert [view.name for view in scene.train] == ["d.png"]
    assert scene.summary == (
        "3 of 4 photos of images/ used (1 left out: missing: b.png), 1 camera, 7 points, test views: a.png, c.png"
    )
    (root / "test.txt").write_text("b.png\nd.png\n")
    assert [view.name for view in parsed(root, missing_photos="skip").test] == ["d.png"]
    (root / "images/a.png").unlink()
    (root / "images/c.png").unlink()
    with pytest.raises(DataError, match=r"images/a\.png: no such photo.*\(3 of 4 photos are missing\)$"):
        parsed(root, missing_photos="skip")


def test_lists_of_test_views_in_other_words(tmp_path, subtests):
    for line, encoding in product(("images/c.png", ".\\images\\c.png", "c.png\r"), ("utf-8", "utf-8-sig", "utf-16")):
        with subtests.test(line, encoding=encoding):
            (tmp_path / "test.txt").write_bytes(f"{line}\n".encode(encoding))
            assert split(["a.png", "b.png", "c.png"], tmp_path, "auto") == {"c.png"}
