"""What strangers may do to the server: nothing that others notice."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from bags.settings import ViewerSettings
from bags.viewer.server import Viewer
from tests.viewer.page import Page
from tests.viewer.test_viewer import at, drawn
from tests.waiting import HANG, until


def port_of(viewer: Viewer) -> int:
    return int(viewer.address.rsplit(":", 1)[1])


def served(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        page.picture(drawn(viewer))


def own_addresses() -> set[str]:
    """Of this machine, but not of its inside."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        with contextlib.suppress(OSError):
            probe.connect(("203.0.113.1", 9))  # sends nothing
        return {probe.getsockname()[0]} - {"0.0.0.0", "127.0.0.1"}


@pytest.fixture
def crowd(viewer: Viewer) -> Iterator[list[Page]]:
    pages = [Page(viewer.address) for _ in range(20)]
    yield pages
    for page in pages:
        page.socket.close()


def test_viewer_listens_on_localhost_by_default(viewer: Viewer) -> None:
    assert ViewerSettings().host == "127.0.0.1"
    for address in own_addresses():
        with pytest.raises(OSError):
            socket.create_connection((address, port_of(viewer)), timeout=HANG).close()
    socket.create_connection(("127.0.0.1", port_of(viewer)), timeout=HANG).close()


def test_twenty_clients_half_of_which_disconnect(viewer: Viewer, crowd: list[Page]) -> None:
    for page in crowd:
        page.look(at(viewer))
    for page in crowd[::2]:
        page.picture(drawn(viewer))
        page.socket.socket.shutdown(socket.SHUT_RDWR)
    for page in crowd[1::2]:
        page.picture(drawn(viewer))
    until(lambda: len(viewer.guests) <= 10)
    assert len(viewer.guests) == 10


def test_client_that_never_reads_uses_bounded_memory(viewer: Viewer) -> None:
    with Page(viewer.address) as page:
        page.look(at(viewer))
        until(viewer.draw_one)
        (guest,) = viewer.guests.values()
        waiting = guest.client._websock_connection.get_message_buffer().message_from_id
        for _ in range(30):
            guest.draw(viewer.painter)
        assert len(waiting) < 20, "a newer picture takes the place of one that was not sent"


@pytest.mark.parametrize("message", [b"\x91" * 500_000, b"\xff" * 1000, bytes(51 << 20), "x" * 1000])
def test_malformed_deep_or_oversized_messages(viewer: Viewer, message: bytes | str) -> None:
    with Page(viewer.address) as page:
        with contextlib.suppress(ConnectionClosed):
            page.socket.send(message)
        end = time.monotonic() + HANG
        with pytest.raises(ConnectionClosed):
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    page.socket.recv(timeout=0.1)
        served(viewer)


def test_malformed_http_and_silent_clients(viewer: Viewer) -> None:
    silent = [socket.create_connection(("127.0.0.1", port_of(viewer))) for _ in range(20)]
    for said in (b"\0" * 2000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000, b"GET /" + b"x" * 100_000, b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port_of(viewer))) as stranger, contextlib.suppress(OSError):
            stranger.sendall(said)
    served(viewer)
    for connection in silent:
        connection.close()


def test_no_other_files_are_served(viewer: Viewer, subtests: pytest.Subtests) -> None:
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "//etc/passwd",
        "/%00",
    ]:
        with (
            subtests.test(path),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port_of(viewer), timeout=HANG)) as connection,
        ):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status >= 400 and b"root:" not in answer.read()
