"""The server and what it does for browsers, by its own protocol: no browser needed."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from viser import _messages

from bags.errors import BagsError, SettingError
from bags.ops.geometry import quaternion_to_rotation
from bags.settings import ViewerSettings
from bags.tasks.view import run
from bags.viewer import guest
from bags.viewer.at_photo import at_photo
from bags.viewer.eye import Eye
from bags.viewer.painter import Painter
from bags.viewer.server import Viewer
from tests.integration.test_training import settings_of
from tests.viewer.page import Page
from tests.waiting import HANG, until


def decoded(picture: Any) -> np.ndarray:
    return picture.detach().permute(1, 2, 0).mul(255).round().cpu().numpy()


def drawn(viewer: Viewer) -> Any:
    """What a page calls while it waits: the drawing that ``serve`` does."""
    return lambda: viewer.draw_one()


def at(viewer: Viewer, stop: int = 0, width: int = 64, height: int = 48) -> Eye:
    return Eye.at(viewer.stops[stop].camera, width, height)


def close_to(picture: np.ndarray, expected: Any) -> None:
    """Of 255 levels JPEG loses about 8 on the mean in a grainy photo of this size, less than 2 in the renders."""
    assert picture.shape == decoded(expected).shape
    assert np.abs(picture - decoded(expected)).mean() < 12


def test_a_page_sees_the_first_view_and_its_layers(viewer: Viewer) -> None:
    stop, painter = viewer.stops[0], Painter(viewer.painter.module, viewer.painter.step)
    with Page(viewer.address) as page:
        page.look(at(viewer))
        close_to(page.picture(drawn(viewer)), painter.from_anywhere("sharp", stop.camera))
        for layer in ("mask", "photo", "predicted blur"):
            page.choose("show", layer)
            expected = painter.of_photo(layer, stop)
            assert expected is not None
            close_to(page.picture(drawn(viewer)), expected)
        page.choose("show", "ellipsoids")
        close_to(page.picture(drawn(viewer)), painter.from_anywhere("ellipsoids", stop.camera))


def test_the_top_of_the_photos_is_up(viewer: Viewer) -> None:
    """The page turns the scene's root so that this direction becomes its own upward y."""
    with Page(viewer.address) as page:
        turn = page.hear("SetOrientationMessage", good=lambda message: message["name"] == "")["wxyz"]
    top = -torch.stack([stop.camera.rotation[1].cpu() for stop in viewer.stops]).mean(dim=0)
    up = quaternion_to_rotation(torch.tensor(turn)) @ top
    np.testing.assert_allclose(up / up.norm(), (0, 1, 0), atol=1e-5)


def test_a_photo_fills_the_window_and_its_own_pixels_are_one_switch_away(viewer: Viewer) -> None:
    stop, painter = viewer.stops[0], Painter(viewer.painter.module, viewer.painter.step)
    with Page(viewer.address) as page:
        page.look(at(viewer, width=640, height=480))
        assert page.picture(drawn(viewer)).shape == (480, 640, 3)
        page.choose("photo's pixels", True)
        coarse = page.picture(drawn(viewer))
        close_to(coarse[5::10, 5::10], painter.from_anywhere("sharp", stop.camera))
        page.choose("show", "side by side")
        beside = at_photo(painter, stop, "side by side", True, (640, 480), 1e9)
        close_to(page.picture(drawn(viewer)), beside.picture)
        page.told("left to right: photo, sharp, predicted blur", drawn(viewer))


def test_jumping_moves_the_pages_camera(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.choose("photo", viewer.stops[3].label)
        there = page.hear("SetCameraLookAtMessage", drawn(viewer))
        moved = [m for m in page.heard if m["type"] == "SetCameraPositionMessage"][-1]
        eye = at(viewer, 3)
        np.testing.assert_allclose(moved["position"], eye.position, atol=1e-5)
        ahead = np.subtract(there["look_at"], eye.position)
        np.testing.assert_allclose(ahead / np.linalg.norm(ahead), eye.axes[:, 2], atol=1e-5)


def test_a_click_shows_the_kernel_at_a_views_own_place_only(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.click(0.25, 0.5)
        kernel = Painter(viewer.painter.module, viewer.painter.step).kernel(viewer.stops[0], 0.25, 0.5)
        assert kernel is not None
        said = page.told("size **", drawn(viewer))
        assert f"{kernel.spread:.2f} px" in said and f"{kernel.side} x {kernel.side}" in said
        eye = at(viewer)
        page.look(Eye(eye.wxyz, (eye.position[0] + 1, *eye.position[1:]), eye.fov, 64, 48))
        page.told("free camera", drawn(viewer))
        page.click(0.25, 0.5)
        page.told("Click a training photo", drawn(viewer))


def test_small_while_moving_whole_when_still(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    eye = at(viewer, width=640, height=480)
    with Page(viewer.address) as page:
        page.look(eye)
        page.picture(drawn(viewer))
        monkeypatch.setattr(guest, "SETTLE", HANG)
        page.look(Eye(eye.wxyz, (eye.position[0] + 1, *eye.position[1:]), eye.fov, 640, 480))
        assert page.picture(drawn(viewer)).shape[1] < 640
        assert not viewer.draw_one()  # nothing more while it may move on
        monkeypatch.setattr(guest, "SETTLE", 0.0)
        assert page.picture(drawn(viewer)).shape == (480, 640, 3)
        assert not viewer.draw_one()  # and then nothing more


def test_still_pages_follow_a_training(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.hear("GuiUpdateMessage", drawn(viewer))
        assert not viewer.draw_one()
        viewer.painter.step -= 1
        page.picture(drawn(viewer))
        page.told(f"step {viewer.painter.step}", drawn(viewer))


def test_many_pages_each_with_its_own_view(viewer: Viewer) -> None:
    pages = [Page(viewer.address) for _ in range(6)]
    for number, page in enumerate(pages):
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.choose("show", "sharp" if number % 2 else "depth")
        page.choose("photo", viewer.stops[number].label)
    for number, page in enumerate(pages):
        page.told(viewer.stops[number].label, drawn(viewer))
    assert len(viewer.guests) == 6
    for page in pages:
        page.socket.close()
    until(lambda: not viewer.guests)
    assert not viewer.draw_one()


def test_client_disconnects_midway(viewer: Viewer, caplog: pytest.LogCaptureFixture) -> None:
    """No goodbye, and pictures under way: the next page is served as if nothing had been."""
    for _ in range(5):
        page = Page(viewer.address)
        page.look(at(viewer))
        page.socket.socket.shutdown(socket.SHUT_RDWR)
        for _ in range(3):
            viewer.draw_one()
            time.sleep(0.01)
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and "viewer" in record.message]


def test_garbage(viewer: Viewer, capfd: pytest.CaptureFixture[str]) -> None:
    for nonsense in (b"", b"\xff" * 100, b"\x81\xa4type\xa5Nonse", "text", b"\x81\xa4type\xa6Nobody"):
        with Page(viewer.address) as page:
            page.socket.send(nonsense)
    with Page(viewer.address) as page:  # well-formed, and absurd
        page.look(at(viewer), fov=float("nan"))
        page.look(at(viewer), position=(float("inf"), 0.0, 0.0))
        page.look(at(viewer), image_width=10**9)
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.look(at(viewer), wxyz=(0.0, 0.0, 0.0, 0.0))
        page.choose("show", "nothing of the kind")
        page.choose("photo", ["train", 3])
        page.click(7.0, float("nan"))
        for _ in range(20):
            viewer.draw_one()
            time.sleep(0.01)
        page.choose("show", "depth")
        page.picture(drawn(viewer))
    with socket.create_connection(("127.0.0.1", int(viewer.address.rsplit(":", 1)[1]))) as stranger:
        stranger.sendall(b"GET / HTTP/9.9\r\n\x00\x01\r\n\r\n")
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
    capfd.readouterr()


def test_handlers_called_directly(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        (guest,) = viewer.guests.values()
        before = guest.wish

        def event(**values: Any) -> Any:
            return SimpleNamespace(**values, target=SimpleNamespace(value=values.get("value")))

        for nothing in (
            guest.panel.view_chosen(event(value="no such view")), guest.panel.layer_chosen(event(value=None)),
            guest.panel.go_pressed(event(value="sideways")), guest.clicked(event(screen_pos=(1.5, 0.5))),
            guest.panel.view_chosen(event(value=viewer.stops[0].label)),
        ):  # fmt: skip
            asyncio.run(nothing)
        assert guest.wish == before
        asyncio.run(guest.panel.go_pressed(event(value="previous")))
        assert guest.wish.stop == len(viewer.stops) - 1 and guest.wish.jumps == before.jumps + 1
        asyncio.run(guest.panel.go_pressed(event(value="next")))
        asyncio.run(guest.panel.go_pressed(event(value="back")))
        assert guest.wish.stop == 0 and guest.wish.jumps == before.jumps + 3
        assert guest.due(viewer.painter.step, time.monotonic())


def test_error_of_one_client_does_not_end_a_training(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        with monkeypatch.context() as patch:
            patch.setattr(viewer.painter, "from_anywhere", lambda *_: 1 / 0)
            page.choose("show", "depth")
            until(lambda: not viewer.draw_one() and not viewer.guests)
    assert "ZeroDivisionError" in caplog.text and not viewer.guests
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))


def test_viewer_listens_locally_and_opens_no_tunnel(viewer: Viewer) -> None:
    assert viewer.address.startswith("http://127.0.0.1:")
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))
        page.say(_messages.ShareUrlRequest())
        page.choose("show", "depth")
        page.picture(drawn(viewer))
        assert viewer._server.request_share_url() is None and viewer._server._share_tunnel is None
        theme = next(m for m in page.heard if m["type"] == "ThemeConfigurationMessage")
        assert theme["show_share_button"] is False


def again(viewer: Viewer, **settings: Any) -> Viewer:
    return Viewer(viewer.painter.module, viewer.stops, 1.0, ViewerSettings(**settings), 1, "again")


def test_a_port_that_is_taken(viewer: Viewer) -> None:
    port = int(viewer.address.rsplit(":", 1)[1])
    other = again(viewer, port=port)
    try:
        assert other.address != viewer.address
        with Page(other.address) as page:
            page.look(at(viewer))
            page.picture(drawn(other))
    finally:
        other.close()
    assert port in range(1, 65536)


def test_an_address_of_another_machine(viewer: Viewer) -> None:
    with pytest.raises(SettingError, match=r"viewer\.host = '203\.0\.113\.7'"):
        again(viewer, host="203.0.113.7")


def test_missing_viser_is_reported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(BagsError, match=r"pip install -e '\.\[viewer\]'"):
        run(settings_of(tmp_path, "task=view"))


def test_invalid_settings_are_refused(tmp_path: Any, subtests: pytest.Subtests) -> None:
    for key in ["port=70000", "fps=0", "share=1", "host=''", "keep=true", "pixels=3"]:
        with subtests.test(key), pytest.raises(SettingError, match=rf"viewer\.{key.split('=')[0]}"):
            settings_of(tmp_path, f"viewer.{key}")
