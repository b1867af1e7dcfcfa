from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.parsers.nerfstudio import parse_nerfstudio
from bags.errors import DataError
from bags.settings import DatasetSettings
from tests.datamodules.test_layout import write_points

TURN = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])  # nerfstudio's applied_transform

pytestmark = pytest.mark.usefixtures("read_here")


def parsed(root, **kwargs):
    return parse_nerfstudio(DatasetSettings(parser="nerfstudio", root=str(root), **kwargs))


@pytest.fixture
def scene(colmap_scene):
    """A COLMAP scene as ns-process-data leaves it: the model in colmap/, one transforms.json."""

    def make(**changes):
        root = colmap_scene(params=(50.0, 52.0, 25.0, 15.0))
        before = parse_colmap(DatasetSettings(parser="colmap", root=str(root), hold=None))
        frames = []
        for view in before.train:
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = view.camera.rotation.T, view.camera.center
            pose[:3, 1:3] *= -1
            moved = np.vstack([TURN @ pose, [0, 0, 0, 1]])
            frames.append({"file_path": f"images/{view.name}", "transform_matrix": moved.tolist(), "colmap_im_id": 1})
        (root / "colmap").mkdir()
        shutil.move(root / "sparse", root / "colmap/sparse")
        said = {
            "w": 48, "h": 32, "fl_x": 50.0, "fl_y": 52.0, "cx": 25.0, "cy": 15.0, "k1": 0.0, "k2": 0.0, "p1": 0.0,
            "p2": 0.0, "camera_model": "OPENCV", "frames": frames[::-1], "applied_transform": TURN.tolist(),
        }  # fmt: skip
        said |= changes
        (root / "transforms.json").write_text(json.dumps({key: v for key, v in said.items() if v is not None}))
        return root, before

    return make


def test_it_is_the_colmap_scene_turned(scene):
    root, before = scene()
    found = parsed(root, hold=2)
    assert [view.name for view in found.test] == ["images_a.png", "images_c.png"]
    assert [view.name for view in found.train] == ["images_b.png", "images_d.png"]
    assert found.summary.startswith("all 4 photos of")
    turn = torch.from_numpy(TURN[:, :3]).float()
    torch.testing.assert_close(found.points.xyz, before.points.xyz @ turn.T)
    assert found.points.rgb.equal(before.points.rgb)
    for view, old in zip((found.test[0], found.train[0]), before.train, strict=False):
        camera, other = view.camera, old.camera
        assert (camera.fx, camera.fy, camera.offset, camera.width) == (50.0, 52.0, (1.0, -1.0), 48)
        local = found.points.xyz @ camera.rotation.T + camera.translation
        torch.testing.assert_close(
            local, before.points.xyz @ other.rotation.T + other.translation, atol=1e-5, rtol=1e-5
        )


def test_distortion_is_undone_as_colmaps(scene):
    root, _ = scene(k1=-0.15, k2=0.03, p1=0.002)
    view = parsed(root, hold=None).train[0]
    shutil.move(root / "colmap/sparse", root / "sparse")
    for name in ("cameras", "images", "points3D"):
        assert (root / f"sparse/0/{name}.bin").is_file()
    path = root / "sparse/0/cameras.bin"
    head, params = path.read_bytes()[:32], (50.0, 52.0, 25.0, 15.0, -0.15, 0.03, 0.002, 0.0)
    path.write_bytes(head[:12] + (4).to_bytes(4, "little") + head[16:] + np.array(params).tobytes())
    other = parse_colmap(DatasetSettings(parser="colmap", root=str(root), hold=None)).train[0]
    assert (view.camera.width, view.camera.fx, view.camera.offset) == (other.camera.width, 50.0, other.camera.offset)
    assert view.load().tobytes() == other.load().tobytes()


def test_lenses_of_other_names(scene, subtests):
    for changes, pinhole in (
        ({"is_fisheye": True}, False),
        ({"camera_model": "OPENCV_FISHEYE"}, False),
        ({"camera_model": "opencv_fisheye"}, False),
        ({"camera_model": None, "k1": None, "k2": None}, True),
        ({"camera_model": "SIMPLE_PINHOLE"}, True),
        ({"k3": 0.3}, False),
    ):
        with subtests.test(**changes):
            camera = parsed(scene(**changes)[0]).train[0].camera
            assert ((camera.width, camera.height) == (48, 32)) == pinhole


def test_only_an_angle_of_view(scene):
    root, _ = scene(fl_x=None, fl_y=None, cx=None, cy=None, w=None, h=None, camera_angle_x=2 * math.atan(24 / 50))
    camera = parsed(root).train[0].camera
    assert (camera.fx, camera.fy, camera.offset) == (pytest.approx(50.0), pytest.approx(50.0), (0.0, 0.0))


def test_points_from_a_file_or_random(scene):
    root, _ = scene(ply_file_path="sparse_pc.ply")
    with pytest.raises(DataError, match=r"sparse_pc\.ply.*no such file.*remove ply_file_path"):
        parsed(root)
    write_points(root / "sparse_pc.ply")
    assert parsed(root).points.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_damaged_points_are_reported_with_what_to_remove(scene):
    root, _ = scene(ply_file_path=None)
    (root / "sparse_pc.ply").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"sparse_pc\.ply.*, or remove the file$"):
        parsed(root)


def test_colmaps_points_only_where_the_cameras_move_is_known(scene, caplog):
    root, _ = scene(applied_transform=None)
    assert len(parsed(root).points.xyz) == 0
    assert "random ones are used" in caplog.text


def test_the_file_says_the_split(scene):
    lists = {
        "train_filenames": ["images/a.png"],
        "val_filenames": ["images/c.png"],
        "test_filenames": ["./images\\d.png"],
    }
    root, _ = scene(**lists)
    assert [view.name for view in parsed(root).test] == ["images_c.png", "images_d.png"]
    assert [view.name for view in parsed(root, hold=4).test] == ["images_a.png"]
    (root / "test.txt").write_text("b.png\n".replace("b", "images/b"))
    assert [view.name for view in parsed(root).test] == ["images_b.png"]


def test_invalid_transforms_are_refused(scene, subtests):
    for key, value, message in (
        ("test_filenames", ["images/x.png"], r".*'images/x\.png' is not the file_path of any frame"),
        ("test_filenames", 3, r"is 3"),
        ("ply_file_path", "a/../../x.ply", r".*outside"),
        ("applied_transform", [[1, 2]], r".*3 x 4"),
        ("distortion_params", [0.1, 0, 0, 0, 0, 0], r".*give k1"),
        ("camera_model", "FISHEYE624", r"is 'FISHEYE624'"),
    ):
        root, _ = scene(**{key: value})
        with subtests.test(key, value=value), pytest.raises(DataError, match=rf"transforms\.json: {key} {message}"):
            parsed(root)
    with pytest.raises(DataError, match=r"transforms\.json: camera_angle_x is missing"):
        parsed(scene(fl_x=None)[0])


def test_other_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"transforms\.json: no such file"):
        parsed(tmp_path)
    (tmp_path / "transforms_train.json").touch()
    with pytest.raises(DataError, match=r"add dataset=blender"):
        parsed(tmp_path)
