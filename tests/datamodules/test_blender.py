from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from bags.datamodules.parsers.blender import parse_blender
from bags.datamodules.parsers.multiscale_blender import parse_multiscale_blender
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.errors import DataError
from bags.io import documents
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, ScheduleSettings
from tests.standins import pose, write_blender, write_multiscale


def blender(root, **kwargs):
    return parse_blender(DatasetSettings(parser="blender", root=str(root), **kwargs))


def multiscale(root, **kwargs):
    return parse_multiscale_blender(DatasetSettings(parser="multiscale_blender", root=str(root), **kwargs))


def test_blender_views(tmp_path):
    scene = blender(write_blender(tmp_path))
    assert [view.name for view in scene.train] == ["train_r_0.png", "train_r_1.png", "train_r_2.png"]
    assert [view.name for view in scene.test] == ["test_r_0.png", "test_r_1.png"]
    assert len(scene.points.xyz) == len(scene.points.rgb) == 0
    camera, matrix = scene.train[1].camera, np.array(pose(21))
    assert (camera.width, camera.height) == scene.train[1].load().size == (32, 24)
    assert scene.train[1].load().mode == "RGBA"
    assert camera.fx == camera.fy == pytest.approx(16 / math.tan(0.4))
    np.testing.assert_allclose(camera.center, matrix[:3, 3], atol=1e-6)
    # OpenGL sees along -z with y up: a point ahead, right and above falls right of and above the centre.
    world = matrix @ [0.1, 0.2, -2.0, 1.0]
    local = camera.rotation.double().numpy() @ world[:3] + camera.translation.double().numpy()
    np.testing.assert_allclose(local, [0.1, -0.2, 2.0], atol=1e-6)


def test_multiscale_views(tmp_path):
    scene = multiscale(write_multiscale(tmp_path))
    assert [view.name for view in scene.train] == [
        f"images_train_{i:03d}_d{level}.png" for i in (0, 1) for level in (0, 1)
    ]
    assert [(view.camera.width, view.camera.fx) for view in scene.test] == [(32, 40.0), (16, 20.0)]
    np.testing.assert_allclose(scene.train[2].camera.center, np.array(pose(1))[:3, 3], atol=1e-6)
    highest = multiscale(tmp_path, resolutions="highest")
    assert [view.camera.width for view in (*highest.train, *highest.test)] == [32] * 3


def test_views_of_several_sizes_go_through_pyramid_and_loader(tmp_path):
    data = DatasetSettings(parser="multiscale_blender", root=str(write_multiscale(tmp_path)), white_background=True)
    schedule = ScaleSchedule(ScheduleSettings(iterations=20, ms_steps=3, scale_divisors=(2, 1), scale_starts=(1, 10)))
    module = SceneDataModule(data, schedule, seed=0)
    module.setup()
    assert module.training_width == 32
    seen = {(batch.camera.width, tuple(batch.image.shape)) for batch in module.train_dataloader()}
    assert seen == {(side, (3, side, side)) for side in (8, 16, 32)}
    assert [batch.camera.width for batch in module.test_dataloader()] == [32, 16]
    assert [batch.camera.fx for batch in module.train_views_dataloader()] == [40.0, 20.0] * 2


TRANSFORMS = {  # what goes wrong: key path, new value (None: key removed), what the message must name
    "no angle": (("camera_angle_x",), None, r"camera_angle_x is missing"),
    "zero focal": (("camera_angle_x",), math.pi, r"camera_angle_x is 3\.14.*below pi"),
    "angle tiny": (("camera_angle_x",), 5e-324, r"camera_angle_x is 5e-324: needs .* above 2e-05"),
    "no angle at all": (("camera_angle_x",), 0, r"camera_angle_x is 0: must be a finite number above 0"),
    "angle true": (("camera_angle_x",), True, r"camera_angle_x is True"),
    "angle text": (("camera_angle_x",), "0.8", r"camera_angle_x is '0\.8'"),
    "angle nan": (("camera_angle_x",), math.nan, r"camera_angle_x is nan"),
    "angle huge": (("camera_angle_x",), 10**400, r"camera_angle_x is 1000"),
    "no frames": (("frames",), None, r"frames is missing"),
    "frames empty": (("frames",), [], r"frames is \[\]"),
    "frames not a list": (("frames",), {"a": 1}, r"frames is .*must be a non-empty list"),
    "frame not an object": (("frames", 1), 7, r"frames\[1\] is 7"),
    "no name": (("frames", 1, "file_path"), None, r"frames\[1\]\.file_path is missing"),
    "name a number": (("frames", 1, "file_path"), 3, r"frames\[1\]\.file_path is 3: must be non-empty text"),
    "name absolute": (("frames", 1, "file_path"), "/etc/passwd", r"frames\[1\]\.file_path.*outside the folder"),
    "name leads outside": (("frames", 1, "file_path"), "train/../../r_1", r"outside the folder"),
    "name of backslashes": (("frames", 1, "file_path"), "train\\r_9", r"train/r_9\.png: no such photo.*restore"),
    "name with a zero": (("frames", 1, "file_path"), "train/r\0", r"not a safe file name"),
    "name too long": (("frames", 1, "file_path"), "r" * 5000, r"frames\[1\]\.file_path.*rename"),
    "no such photo": (("frames", 1, "file_path"), "./train/r_9", r"train/r_9\.png: no such photo.*restore"),
    "twice": (("frames", 1, "file_path"), "./train/r_0", r"train/r_0\.png: is the photo of 2 views"),
    "no pose": (("frames", 1, "transform_matrix"), None, r"frames\[1\]\.transform_matrix is missing"),
    "pose ragged": (("frames", 1, "transform_matrix", 2), [1, 2, 3], r"frames\[1\]\.transform_matrix.*4 x 4"),
    "pose of texts": (("frames", 1, "transform_matrix", 2, 1), "x", r"frames\[1\]\.transform_matrix.*4 x 4"),
    "pose nan": (("frames", 1, "transform_matrix", 0, 3), math.nan, r"frames\[1\]\.transform_matrix.*finite"),
    "pose infinite": (("frames", 1, "transform_matrix", 0, 3), math.inf, r"frames\[1\]\.transform_matrix.*finite"),
    "pose far away": (("frames", 1, "transform_matrix", 0, 3), 1e300, r"frames\[1\]\.transform_matrix.*rotation"),
    "turn of 1e308": (("frames", 1, "transform_matrix", 0, 0), 1e308, r"frames\[1\]\.transform_matrix.*rotation"),
    "angle wide": (("camera_angle_x",), math.pi - 1e-9, r"frames\[0\]: impossible lens: focal lengths"),
    "name half a letter": (("frames", 1, "file_path"), "train/\ud800", r"not a safe file name"),
    "name of two lines": (("frames", 1, "file_path"), "train/r\n1", r"not a safe file name"),
    "pose scaled": (("frames", 1, "transform_matrix", 0, 0), 5.0, r"frames\[1\]\.transform_matrix.*rotation"),
    "last row": (("frames", 1, "transform_matrix", 3, 3), 2.0, r"frames\[1\]\.transform_matrix.*last row"),
    "other camera": (("frames", 1, "fl_x"), 50.0, r"frames\[1\]\.fl_x is 50\.0.*camera_angle_x of .* means 37\.8"),
    "radial beyond": (("k4",), 0.1, r"k4 is 0\.1: no supported lens .* undistort"),
    "distortion a text": (("k1",), "0.1", r"k1 is '0\.1': must be a finite number"),
    "other model": (("camera_model",), "EQUIRECTANGULAR", r"camera_model is 'EQUIRECTANGULAR': needs one of"),
    "size of another shape": (("h",), 50, r"r_0\.png: its size of 32 x 24 .* aspect ratio of its camera, 32 x 50"),
}


def spoil(values, place, value):
    *way, last = place
    for step in way:
        values = values[step]
    if value is None:
        del values[last]
    else:
        values[last] = value


def test_corrupted_transforms(tmp_path, subtests):
    path = write_blender(tmp_path) / "transforms_train.json"
    intact = path.read_text()
    for case, (place, value, message) in TRANSFORMS.items():
        with subtests.test(case):
            spoil(values := json.loads(intact), place, value)
            path.write_text(json.dumps(values))
            with pytest.raises(DataError, match=message) as error:
                blender(tmp_path)
            assert str(tmp_path) in str(error.value) and len(str(error.value)) < 6000


def rewritten(root, change, split="train"):
    path = root / f"transforms_{split}.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    return root


def test_what_other_tools_add_and_agrees(tmp_path):
    """BlenderNeRF, instant-ngp: intrinsics beside the angle of view, distortion of zero, keys of their own."""
    plain = blender(write_blender(tmp_path)).train[0].camera
    more = {
        "fl_x": plain.fx, "fl_y": plain.fy, "cx": 16.0, "cy": 12.0, "w": 32.0, "h": 24.0, "k1": 0, "k2": 0.0, "p1": 0.0,
        "p2": 0.0, "camera_angle_y": 2 * math.atan(12 / plain.fy), "aabb_scale": 4, "is_fisheye": False,
    }  # fmt: skip
    camera = blender(rewritten(tmp_path, lambda values: values.update(more))).train[0].camera
    assert (camera.width, camera.height, camera.offset) == (32, 24, (0.0, 0.0))
    assert (camera.fx, camera.fy) == pytest.approx((plain.fx, plain.fy))


def test_a_frame_has_its_own_lens(tmp_path):
    def change(values):
        del values["camera_angle_x"]
        for number, frame in enumerate(values["frames"]):  # of a photo twice the size
            frame |= {"fl_x": 80.0 + number, "fl_y": 90.0, "cx": 34.0, "cy": 22.0, "w": 64, "h": 48}

    cameras = [view.camera for view in blender(rewritten(write_blender(tmp_path), change)).train]
    assert [(camera.fx, camera.fy) for camera in cameras] == [(40.0, 45.0), (40.5, 45.0), (41.0, 45.0)]
    assert cameras[0].offset == (1.0, -1.0)


def test_matrices_of_three_rows_and_windows_paths(tmp_path):
    plain = blender(write_blender(tmp_path))

    def change(values):
        for frame in values["frames"]:
            frame["transform_matrix"] = frame["transform_matrix"][:3]
            frame["file_path"] = frame["file_path"].replace("/", "\\") + ".png"

    scene = blender(rewritten(tmp_path, change))
    assert [view.name for view in scene.train] == [view.name for view in plain.train]
    for view, before in zip(scene.train, plain.train, strict=True):
        assert view.camera.translation.equal(before.camera.translation) and view.load() == before.load()


def test_paths_from_another_machine(tmp_path):
    write_blender(tmp_path)
    for path in ("C:\\scenes\\lego\\train\\r_0.png", "/home/me/lego/train/r_0", "../lego/train/r_0.png"):
        rewritten(tmp_path, lambda values, path=path: values["frames"][0].update(file_path=path))
        assert blender(tmp_path).train[0].name == "train_r_0.png", path


def test_a_photo_in_both_splits_is_trained_on_and_not_tested(tmp_path, caplog):
    rewritten(write_blender(tmp_path), lambda values: values["frames"][0].update(file_path="./train/r_1"), "test")
    scene = blender(tmp_path)
    assert len(scene.train) == 3 and [view.name for view in scene.test] == ["test_r_1.png"]
    assert "transforms_test.json: 1 photos are also in transforms_train.json" in caplog.text


def test_a_missing_photo_is_left_out_where_that_is_asked_for(tmp_path):
    (write_blender(tmp_path) / "train/r_1.png").unlink()
    with pytest.raises(DataError, match=r"train/r_1\.png: no such photo.*dataset\.missing_photos=skip"):
        blender(tmp_path)
    scene = blender(tmp_path, missing_photos="skip")
    assert [view.name for view in scene.train] == ["train_r_0.png", "train_r_2.png"]
    assert "missing: train_r_1.png" in scene.summary and scene.summary.startswith("4 of 6 photos of")


METADATA = {
    "no split": (("test",), None, r"test is missing"),
    "split a list": (("test",), [], r"test is \[\]"),
    "no focal": (("train", "focal"), None, r"train\.focal is missing"),
    "too few": (("train", "focal"), [40.0], r"train\.focal has 1 entries, train\.file_path 4"),
    "zero focal": (("train", "focal", 2), 0.0, r"train\[2\]\.focal is 0\.0"),
    "wrong width": (("train", "width", 1), 99, r"train\[1\]\.width is 99.*001?.*16 x 16"),
    "pose nan": (("test", "cam2world", 1, 0, 0), math.nan, r"test\[1\]\.cam2world"),
    "missing photo": (("test", "file_path", 0), "images_test/7.png", r"images_test/7\.png: no such photo"),
    "outside": (("test", "file_path", 0), "../7.png", r"test\[0\]\.file_path.*outside the folder"),
    "twice": (("train", "file_path", 2), "images_train/000_d0.png", r"is the photo of 2 views"),
}


def test_corrupted_metadata(tmp_path, subtests):
    path = write_multiscale(tmp_path) / "metadata.json"
    intact = path.read_text()
    for case, (place, value, message) in METADATA.items():
        with subtests.test(case):
            spoil(values := json.loads(intact), place, value)
            path.write_text(json.dumps(values))
            with pytest.raises(DataError, match=message):
                multiscale(tmp_path)


def test_invalid_json_files(tmp_path, subtests):
    path = write_blender(tmp_path) / "transforms_test.json"
    for text, message in {
        "": "cannot be read as JSON",
        '{"frames": [': "cannot be read as JSON",
        "[" * 100_000: "cannot be read as JSON",
        '{"a": ' + "1" * 5000 + "}": "cannot be read as JSON|camera_angle_x|frames",
        '{"frames": [1], "frames": [2]}': "'frames' is given twice",
        "[1, 2]": "contains a list instead of keys",
        "\udcff": "cannot be read as text",
    }.items():
        with subtests.test(ascii(text[:30])):  # the name must be printable
            path.write_text(text, errors="surrogateescape")
            with pytest.raises(DataError, match=rf"transforms_test\.json.*({message})"):
                blender(tmp_path)


def test_file_too_large(tmp_path):
    root = write_blender(tmp_path)
    os.truncate(root / "transforms_train.json", documents.LARGEST + 1)
    with pytest.raises(DataError, match=r"transforms_train\.json: more than 20,000,000 bytes"):
        blender(root)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder; set dataset\.root"):
        blender(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"transforms_train\.json: no such file"):
        blender(tmp_path)
    with pytest.raises(DataError, match=r"metadata\.json: no such file"):
        multiscale(tmp_path)


def test_unknown_keys_are_reported(tmp_path, caplog):
    path = write_blender(tmp_path) / "transforms_train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weather": 4}))
    blender(tmp_path)
    assert "unknown keys are ignored: weather" in caplog.text


def test_a_photo_broken_in_the_middle_stops_the_run_before_it_starts(tmp_path):
    write_blender(tmp_path, train=5)
    path = tmp_path / "train/r_2.png"
    path.write_bytes(path.read_bytes()[:400])
    data = DatasetSettings(parser="blender", root=str(tmp_path))
    schedule = ScaleSchedule(ScheduleSettings(scale_divisors=(2, 1), scale_starts=(1, 5)))
    with pytest.raises(DataError, match=r"r_2\.png: cannot be read"):
        SceneDataModule(data, schedule, 0).setup()
