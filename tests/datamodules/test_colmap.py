from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from bags.datamodules.parsers import colmap_files
from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.parsers.colmap_files import read_model
from bags.datamodules.parsers.split import split
from bags.datamodules.pyramid import ImagePyramid
from bags.errors import DataError
from bags.settings import DatasetSettings


def settings(root, **kwargs):
    return DatasetSettings(parser="colmap", root=str(root), **kwargs)


@pytest.mark.parametrize("text", [False, True])
def test_agrees_with_pycolmap(colmap_scene, text):
    root = colmap_scene(text=text)
    theirs = pycolmap.Reconstruction(str(root / "sparse/0"))
    scene = parse_colmap(settings(root, hold=2))
    assert [view.name for view in scene.test] == ["a.png", "c.png"]
    assert [view.name for view in scene.train] == ["b.png", "d.png"]
    for view in (*scene.train, *scene.test):
        pose = theirs.find_image_with_name(view.name).cam_from_world().matrix()
        np.testing.assert_allclose(view.camera.rotation, pose[:, :3], atol=1e-6)
        np.testing.assert_allclose(view.camera.translation, pose[:, 3], atol=1e-6)
        assert (view.camera.fx, view.camera.fy) == (50.0, 52.0)
        assert (view.camera.width, view.camera.height) == view.load().size == (48, 32)
        assert view.camera.offset == (0.0, 0.0)
    ids = list(theirs.points3D)
    expected = {tuple(np.float32(theirs.points3D[i].xyz)): theirs.points3D[i].color / 255 for i in ids}
    assert len(scene.points.xyz) == len(ids)
    for xyz, rgb in zip(scene.points.xyz, scene.points.rgb, strict=True):
        np.testing.assert_allclose(rgb, expected[tuple(xyz.numpy())], atol=1e-6)


def test_projection_agrees_with_pycolmap_up_to_the_half_pixel(colmap_scene):
    root = colmap_scene(params=(50.0, 52.0, 25.5, 14.0), photo_size=(96, 64))
    theirs = pycolmap.Reconstruction(str(root / "sparse/0"))
    camera = parse_colmap(settings(root, hold=None)).train[0].camera
    pose = theirs.find_image_with_name("a.png").cam_from_world()
    local = np.array([0.3, -0.2, 2.0])
    world = pose.inverse() * local
    x, y, z = (camera.rotation @ torch.tensor(world, dtype=torch.float32) + camera.translation).tolist()
    ours = (camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy)
    pixel = theirs.cameras[1].img_from_cam(local)  # pixel centres at half integers, photo half as large
    np.testing.assert_allclose(ours, 2 * np.ravel(pixel) - 0.5, atol=1e-4)


def test_simple_pinhole_and_sparse_without_number(colmap_scene):
    root = colmap_scene(model="SIMPLE_PINHOLE", params=(40.0, 24.0, 16.0), sparse="sparse")
    camera = parse_colmap(settings(root)).train[0].camera
    assert (camera.fx, camera.fy) == (40.0, 40.0)


@pytest.mark.parametrize("text", [False, True])
def test_all_camera_models_are_read(tmp_path, text):
    reconstruction, expected = pycolmap.Reconstruction(), {}
    models = [model for name, model in pycolmap.CameraModelId.__members__.items() if name != "INVALID"]
    for number, model in enumerate(models, start=3):
        camera = pycolmap.Camera.create_from_model_id(number, model, 50.0, 48, 32)
        camera.params = np.arange(len(camera.params)) + 0.1
        reconstruction.add_camera_with_trivial_rig(camera)
        expected[number] = colmap_files.ColmapCamera(model.name, 48, 32, tuple(camera.params.tolist()))
    reconstruction.write_text(str(tmp_path)) if text else reconstruction.write_binary(str(tmp_path))
    assert len(expected) >= 11
    assert read_model(tmp_path).cameras == expected


def test_no_held_out_split(colmap_scene):
    scene = parse_colmap(settings(colmap_scene(), hold=None))
    assert [view.name for view in scene.train] == ["a.png", "b.png", "c.png", "d.png"]
    assert scene.test == ()


def test_nothing_left_to_train_on(colmap_scene):
    with pytest.raises(DataError, match="no training view"):
        parse_colmap(settings(colmap_scene(names=("a.png",)), hold=2))


def test_photos_of_another_size_and_extension(colmap_scene):
    root = colmap_scene(photo_size=(97, 64))
    (root / "images").rename(root / "images_2")
    (root / "images_2/b.png").rename(root / "images_2/b.JPG")
    camera = parse_colmap(settings(root, images="images_2", hold=None)).train[1].camera
    assert (camera.width, camera.height) == (97, 64)
    assert camera.fx == pytest.approx(50 * 97 / 48)
    assert camera.fy == 104.0
    shutil.copy(root / "images_2/b.JPG", root / "images_2/b.jpeg")
    with pytest.raises(DataError, match=r"b\.png.*b\.JPG and b\.jpeg"):
        parse_colmap(settings(root, images="images_2"))


def test_photo_of_another_shape(colmap_scene):
    root = colmap_scene()
    Image.new("RGB", (32, 48)).save(root / "images/c.png")
    with pytest.raises(DataError, match=r"c\.png.*32 x 48.*48 x 32"):
        parse_colmap(settings(root))


def test_missing_things_are_named(colmap_scene, tmp_path):
    with pytest.raises(DataError, match=r"nowhere.*dataset\.root"):
        parse_colmap(settings(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"no COLMAP model .* task=reconstruct source="):
        parse_colmap(settings(tmp_path))
    root = colmap_scene()
    with pytest.raises(DataError, match=r"images_4.*dataset\.images"):
        parse_colmap(settings(root, images="images_4"))
    (root / "images/b.png").unlink()
    with pytest.raises(DataError, match=r"images/b\.png"):
        parse_colmap(settings(root))
    (root / "sparse/0/points3D.bin").unlink()
    with pytest.raises(DataError, match=r"points3D\.bin.*mapper"):
        parse_colmap(settings(root))


@pytest.mark.parametrize("text", [False, True])
def test_no_points(colmap_scene, caplog, text):
    assert len(parse_colmap(settings(colmap_scene(points=0, text=text))).points.xyz) == 0
    assert "random ones are used (model.gaussians.random_points)" in caplog.text


def test_no_photos(colmap_scene):
    root = colmap_scene(names=())
    (root / "images").mkdir()
    with pytest.raises(DataError, match="registered no photo"):
        parse_colmap(settings(root))


def test_incomplete_binary_files_are_named(colmap_scene, subtests):
    """Cut short, too long, noise."""
    root = colmap_scene()
    for path in (root / f"sparse/0/{name}.bin" for name in colmap_files.FILES):
        intact = path.read_bytes()
        noise = np.random.default_rng(0).bytes(500)
        for data in (*(intact[: int(len(intact) * keep)] for keep in (0, 0.3, 0.6, 0.99)), intact + b"\0", noise):
            with subtests.test(path.name, size=len(data)):
                path.write_bytes(data)
                with pytest.raises(DataError, match=rf"{path.name}: not a complete COLMAP file"):
                    parse_colmap(settings(root))
        path.write_bytes(intact)


@pytest.mark.parametrize(
    ("code", "timeout", "message"),
    [
        ("os.abort()", 60.0, r"images\.bin: not a complete COLMAP file \(.*SIGABRT"),
        ("time.sleep(60)", 1.0, r"\.bin: not a complete COLMAP file \(.*after 1 s"),
    ],
)
def test_child_that_crashes_or_hangs(colmap_scene, monkeypatch, tmp_path, code, timeout, message):
    child = tmp_path / "child.py"
    child.write_text(f"import os, sys, time\nopen(sys.argv[-1] + '/cameras.json', 'w')\n{code}\n")
    monkeypatch.setattr(colmap_files, "CHILD", child)
    monkeypatch.setattr(colmap_files, "TIMEOUT", (timeout, 0.0))
    with pytest.raises(DataError, match=message):
        parse_colmap(settings(colmap_scene()))


def test_pycolmap_stays_in_the_child(colmap_scene):
    code = """
import sys
from pathlib import Path
from bags.datamodules.parsers.colmap_files import read_model
from bags.datamodules.pyramid import ImagePyramid
assert len(read_model(Path(sys.argv[1])).images) == 4
assert "pycolmap" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(colmap_scene() / "sparse/0")], check=True)


def test_damaged_text_files_are_named(colmap_scene, subtests):
    folder = colmap_scene(text=True) / "sparse/0"
    lines = {
        "cameras": ["1 PINHOLE 48 32 50 52 24", "1 PINHOLE 48 32 nan 52 24 16"],
        "images": ["1 1 0 0", "1 1 0 0 0 0 0 0 1"],
        "points3D": ["1 0.5 0.5 x 0 0 0", "1 0.5 0.5 0.5 0 0"],
    }
    for name, damaged in lines.items():
        path = folder / f"{name}.txt"
        intact = path.read_text()
        for line in damaged:
            path.write_text(f"{line}\n")
            with subtests.test(name, line=line), pytest.raises(DataError, match=rf"{name}\.txt: not a complete COLMAP"):
                read_model(folder)
        path.write_text(intact + "\0" * 5000)  # room that was never filled
        with subtests.test(name), pytest.raises(DataError, match=rf"{name}\.txt: ends in zero bytes"):
            read_model(folder)
        path.write_text(intact)


def test_names_that_lead_outside_are_refused(colmap_scene, subtests):
    root = colmap_scene(text=True)
    path = root / "sparse/0/images.txt"
    intact = path.read_text()
    for name in ("/etc/passwd", "../outside.png", "sub/../../outside.png"):
        path.write_text(intact.replace(" a.png", " " + name))
        with subtests.test(name), pytest.raises(DataError, match="outside the folder of photos"):
            parse_colmap(settings(root))


def test_photos_in_subfolders_and_with_spaces(colmap_scene):
    scene = parse_colmap(settings(colmap_scene(names=("cam 1/a.png", "cam 2/a.png", "b.png"), text=True), hold=None))
    assert [view.name for view in scene.train] == ["b.png", "cam 1_a.png", "cam 2_a.png"]


def test_photos_of_one_name(colmap_scene):
    for other in ("x_a.png", "x_a.jpg"):
        with pytest.raises(DataError, match=r"more than one photo named x_a\.(jpg, x_a\.)?png"):
            parse_colmap(settings(colmap_scene(names=("x/a.png", other))))


def test_impossible_camera(colmap_scene):
    root = colmap_scene(text=True)
    path = root / "sparse/0/cameras.txt"
    changed = path.read_text().replace("1 PINHOLE 48 32 50", "1 PINHOLE 48 32 -50")
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(DataError, match=r"a\.png: COLMAP's camera: impossible lens: focal lengths -50, 52"):
        parse_colmap(settings(root))


def test_impossible_pose(colmap_scene):
    root = colmap_scene(names=("a.png",))
    path = root / "sparse/0/images.bin"
    data = path.read_bytes()
    path.write_bytes(data[:44] + np.float64(np.nan).tobytes() + data[52:])  # count, number, quaternion, then x
    with pytest.raises(DataError, match=r"a\.png: COLMAP gives this photo an impossible camera"):
        parse_colmap(settings(root))


def test_a_file_gives_the_split_where_the_settings_do_not(colmap_scene, caplog, subtests):
    root = colmap_scene()
    for file, hold, tested in (
        (None, "auto", ["a.png"]),
        ("hold=2", "auto", ["a.png", "c.png"]),
        ("hold=3", "auto", ["a.png", "d.png"]),
        ("hold=3", 2, ["a.png", "c.png"]),
        ("hold=3", None, []),
    ):
        with subtests.test(file, hold=hold):
            for old in root.glob("hold=*"):
                old.unlink()
            if file:
                (root / file).touch()
            caplog.clear()
            assert [view.name for view in parse_colmap(settings(root, hold=hold)).test] == tested
            assert ("overrides it" in caplog.text) == (bool(file) and hold != "auto")


def test_ambiguous_split_files_are_refused(tmp_path, subtests):
    for files in (["hold=2", "hold=3"], ["hold=1"], ["hold=x"], ["hold="], ["hold=-8"], ["hold=²"]):
        for name in files:
            (tmp_path / name).touch()
        for hold in ("auto", 4):
            with subtests.test(" ".join(files), hold=hold), pytest.raises(DataError, match=r"hold=.*dataset\.hold=N"):
                split(["a.png", "b.png"], tmp_path, hold)
        for name in files:
            (tmp_path / name).unlink()


def test_a_list_names_the_test_views(colmap_scene, caplog):
    root = colmap_scene(names=("cam 1/a.png", "b.png", "c.png"), text=True)
    (root / "test.txt").write_text("# the sharpest\n\ncam 1/a.png\n c.png \n")
    scene = parse_colmap(settings(root))
    assert [view.name for view in scene.train] == ["b.png"]
    assert [view.name for view in scene.test] == ["c.png", "cam 1_a.png"]
    assert not caplog.text
    assert len(parse_colmap(settings(root, hold=None)).train) == 3
    assert "dataset.hold=None overrides it" in caplog.text
    (root / "test.txt").write_text("# none\n")
    assert len(parse_colmap(settings(root)).train) == 3


def test_lists_of_test_views_that_do_not_fit(colmap_scene, subtests):
    root = colmap_scene()
    for content, message in {
        b"a.png\nc.jpg\n": r"test\.txt: the scene has no photo 'c\.jpg' .*did you mean c\.png",
        b"a.png\n\xff\xfe\n": r"test\.txt: cannot be read as text",
        b"a.png\nb.png\nc.png\nd.png\n": r"no training view among 4 photos",
    }.items():
        (root / "test.txt").write_bytes(content)
        with subtests.test(content), pytest.raises(DataError, match=message):
            parse_colmap(settings(root))


def test_contradicting_split_files_are_refused(colmap_scene):
    root = colmap_scene()
    (root / "test.txt").touch()
    (root / "hold=2").touch()
    with pytest.raises(DataError, match=r"test\.txt and hold=2; keep one"):
        parse_colmap(settings(root))


def reduced_copies(root, factor, size, names="abcd", colour=(200, 10, 10)):
    (root / f"images_{factor}").mkdir()
    for name in names:
        Image.new("RGB", size, colour).save(root / f"images_{factor}/{name}.jpg", quality=100)


def test_photos_reduced_already_are_taken(colmap_scene):
    root = colmap_scene(photo_size=(97, 64))
    plain = parse_colmap(settings(root, factor=4, hold=None)).train
    reduced_copies(root, 4, (24, 16))
    views = parse_colmap(settings(root, factor=4, hold=None)).train
    assert [view.load().size for view in views] == [(24, 16)] * 4
    assert views[2].load().getpixel((3, 3))[0] > 190
    for view, before in zip(views, plain, strict=True):
        assert (view.name, view.camera.fx, view.camera.width) == (before.name, before.camera.fx, 97)
    for other in ({"factor": 2}, {"factor": -1}, {"factor": 24}, {"factor": 4, "reduced_images": False}):
        assert parse_colmap(settings(root, hold=None, **other)).train[0].load().size == (97, 64)


def test_reduced_photos_that_do_not_fit_are_left(colmap_scene, caplog, subtests):
    for size, names in (((24, 14), "abcd"), ((22, 16), "abcd"), ((24, 16), "abd")):
        with subtests.test(names, size=size):
            root = colmap_scene(photo_size=(96, 64))
            reduced_copies(root, 4, size, names)
            caplog.clear()
            assert parse_colmap(settings(root, factor=4, hold=None)).train[0].load().size == (96, 64)
            assert "images_4 is not used" in caplog.text


def test_reduced_photos_may_be_a_pixel_off(colmap_scene, caplog):
    root = colmap_scene(photo_size=(97, 65))  # a half of it: 48.5 x 32.5; tools round up or off, and we down
    reduced_copies(root, 2, (49, 33))
    data = settings(root, factor=2, hold=None)
    views = parse_colmap(data).train
    assert [view.load().size for view in views] == [(49, 33)] * 4 and "is not used" not in caplog.text
    assert ImagePyramid(views, data, [1]).image(0, 0).shape == (3, 32, 48)


def test_invalid_reduced_photo_is_named(colmap_scene):
    root = colmap_scene(photo_size=(96, 64))
    reduced_copies(root, 4, (24, 16))
    (root / "images_4/c.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"images_4/c\.jpg: cannot be read"):
        parse_colmap(settings(root, factor=4))


def test_names_that_cannot_be_files_are_refused(colmap_scene, subtests):
    too_long = f"{'d' * 120}/{'e' * 120}.png"
    messages = {too_long: "has a name of more than 200 bytes; rename"}
    for name in ("a\x1bb.png", "a\x7f.png", "a\x85b.png", too_long):
        with subtests.test(repr(name)), pytest.raises(DataError, match=messages.get(name, "not a safe file name")):
            parse_colmap(settings(colmap_scene(names=("b.png", name))))


def test_invalid_lenses_are_refused(colmap_scene, subtests):
    for params, scale in (
        ((1e-9, 1e-9, 24, 16), 1),
        ((1e30, 50, 24, 16), 1),
        ((50, 52, 1e20, 16), 1),
        ((50, 52, 24, -1e4), 1),
        ((5e17, 5e17, -1e19, 16), 10**16),
    ):
        root = colmap_scene(names=("a.png",), params=params, size=(48 * scale, 32 * scale), photo_size=(48, 32))
        message = r"a\.png: COLMAP's camera: impossible lens: focal lengths|impossible camera"
        with subtests.test(params=params), pytest.raises(DataError, match=message):
            parse_colmap(settings(root))


def test_a_camera_beyond_float32_and_points_there(colmap_scene):
    root = colmap_scene(names=("a.png", "b.png"), text=True, points=5)
    path = root / "sparse/0/points3D.txt"
    lines = path.read_text().splitlines()
    lines[-1] = " ".join([lines[-1].split()[0], "1e300", "0", "0", *lines[-1].split()[4:]])
    path.write_text("\n".join(lines) + "\n")
    assert len(parse_colmap(settings(root, hold=None)).points.xyz) == 4
    path = root / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith("a.png"))
    words = lines[place].split()
    lines[place] = " ".join([*words[:5], "1e39", *words[6:]])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        DataError, match=r"a\.png: COLMAP's camera: the camera's position is non-finite, or more than 1e\+09 units"
    ):
        parse_colmap(settings(root, hold=None))
