"""A photo's own place: what fills the window, what lies side by side, where a click falls."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.modules.bags_module import BagsModule
from bags.ops.psnr import psnr
from bags.viewer.at_photo import at_photo
from bags.viewer.frame import Frame
from bags.viewer.painter import Painter
from bags.viewer.stops import stops
from tests.viewer.test_eye import project, random_camera

Built = tuple[SceneDataModule, BagsModule]
WINDOWS = [(200, 48), (64, 200), (640, 480)]


@pytest.fixture
def painter(built: Built) -> Painter:
    return Painter(built[1], built[1].schedule.total)


def inside(picture: torch.Tensor, frame: Frame, number: int) -> torch.Tensor:
    box = frame.boxes[number]
    return picture[:, box.top : box.top + box.height, box.left : box.left + box.width]


def test_boxes_are_as_large_as_fit_and_clicks_find_the_pixel(subtests: pytest.Subtests) -> None:
    for window, count in product(WINDOWS, [1, 3]):
        with subtests.test(window=window, count=count):
            frame = Frame.around(random_camera(0, 64, 48), *window, 1e9, count)
            assert (frame.width, frame.height) == window
            for box in frame.boxes:
                assert box.width / box.height == pytest.approx(4 / 3, rel=0.05)
                assert box.left >= 0 and box.top >= 0
                assert box.left + box.width <= window[0] and box.top + box.height <= window[1]
            columns = count if frame.order == "left to right" and count > 1 else 1
            cell = (window[0] / columns, window[1] / (count // columns))
            assert min(cell[0] - frame.boxes[0].width, cell[1] - frame.boxes[0].height) < 1
            picture = torch.zeros(3, 48, 64)
            picture[:, 10, 50] = 1
            for number in range(count):
                pictures = [picture * float(other == number) for other in range(count)]
                lit = inside(frame.filled(pictures, squares=True), frame, number)[0]
                row, column = divmod(int(lit.argmax()), lit.shape[1])
                box = frame.boxes[number]
                place = frame.place((box.left + column + 0.5) / window[0], (box.top + row + 0.5) / window[1])
                assert place is not None and abs(place[0] * 64 - 50.5) < 2 and abs(place[1] * 48 - 10.5) < 2
            assert frame.place(1.5, 0.5) is None
            small = Frame.around(random_camera(0, 64, 48), *window, 768.0, count)
            assert small.width * small.height == pytest.approx(768, rel=0.1)


def test_the_windows_camera_sees_the_photo_in_its_box(subtests: pytest.Subtests) -> None:
    for window in WINDOWS:
        with subtests.test(window=window):
            camera = replace(random_camera(1, 64, 48), fy=90.0, offset=(3.0, -2.0))
            frame = Frame.around(camera, *window, 1e9)
            point = camera.rotation.T.double() @ (torch.tensor([0.1, 0.2, 2.0]) - camera.translation).double()
            box = frame.boxes[0]
            within = project(camera.resized(box.width, box.height), point)
            torch.testing.assert_close(project(frame.camera(camera), point), within + torch.tensor([box.left, box.top]))


def test_the_window_is_drawn_at_its_own_size(painter: Painter, built: Built) -> None:
    stop = stops(built[0])[2]
    shown = at_photo(painter, stop, "sharp", False, (300, 150), 1e9)
    assert shown.picture.shape == (3, 150, 300) and shown.note == ""
    box = shown.frame.boxes[0]
    fine = painter.from_anywhere("sharp", stop.camera.resized(box.width, box.height))
    assert psnr(inside(shown.picture, shown.frame, 0), fine) > 40
    outside = torch.cat([shown.picture[:, :, : box.left], shown.picture[:, :, box.left + box.width :]], dim=2)
    assert outside.std() > 0.01  # the scene goes on beyond the photo


def test_the_photos_own_pixels(painter: Painter, built: Built) -> None:
    stop = stops(built[0])[2]
    shown = at_photo(painter, stop, "sharp", True, (128, 96), 1e9).picture
    torch.testing.assert_close(shown[:, ::2, ::2], painter.from_anywhere("sharp", stop.camera))
    assert torch.equal(shown[:, ::2, ::2], shown[:, 1::2, 1::2])  # squares
    small = at_photo(painter, stop, "sharp", True, (32, 24), 1e9).picture
    torch.testing.assert_close(small, painter.from_anywhere("sharp", stop.camera.resized(32, 24)))


def test_side_by_side(painter: Painter, built: Built) -> None:
    train, test = stops(built[0])[2], stops(built[0])[-1]
    shown = at_photo(painter, train, "side by side", True, (192, 48), 1e9)
    assert shown.note == "\n\nleft to right: photo, sharp, predicted blur"
    for number, expected in enumerate(
        (painter.of_photo("photo", train), painter.from_anywhere("sharp", train.camera),
         painter.of_photo("predicted blur", train))
    ):  # fmt: skip
        torch.testing.assert_close(inside(shown.picture, shown.frame, number), expected)
    upright = at_photo(painter, test, "side by side", False, (48, 192), 1e9)
    assert upright.note.startswith("\n\ntop to bottom: photo, sharp\n\n*predicted blur*: none for this photo")
    alone = at_photo(painter, test, "mask", False, (64, 48), 1e9)
    torch.testing.assert_close(alone.picture, painter.from_anywhere("sharp", test.camera))
    assert "*mask*: none" in alone.note
