"""The viewer: a server for browsers, and the drawing for them on the caller's own thread.

The server (viser) runs on a thread of its own, where browsers' messages only change what they wish to see. Pictures are
drawn where ``Viewer.draw_one`` is called, between the steps of a training or in ``Viewer.serve``: so nobody reads the
model while it changes, and no lock is needed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bags.errors import BagsError, SettingError, to_install
from bags.modules.bags_module import BagsModule
from bags.settings import ViewerSettings
from bags.system.signals import Stopped
from bags.viewer.guest import SETTLE, Guest
from bags.viewer.pace import Pace
from bags.viewer.painter import Painter, Stop

log = logging.getLogger(__name__)

LEAST_PIXELS = 160 * 120  # of a picture while somebody moves, however slow the machine
GONE = "Queued a .* on a closed connection"  # what viser warns of when a browser vanishes while we write to it


def need_viser() -> None:
    """Check that the server's package is there.

    Raises:
        BagsError: it is not.
    """
    try:
        import viser  # noqa: F401
    except ImportError as error:
        raise BagsError(f"the viewer needs viser ({error}): {to_install('viewer')}") from error


class Viewer:
    """Shows a model to any number of browsers.

    Args:
        module: trained or training.
        stops: views to jump to.
        extent: of the scene.
        settings: where to listen, how fast and how large to draw.
        step: the step that the model stands at.
        name: of the run.

    Raises:
        BagsError: viser is not installed; no view to jump to.
        SettingError: ``viewer.host`` is no address of this machine.
    """

    def __init__(
        self,
        module: BagsModule,
        stops: Sequence[Stop],
        extent: float,
        settings: ViewerSettings,
        step: int,
        name: str,
    ) -> None:
        need_viser()
        if not stops:
            raise BagsError("the viewer needs at least one view")
        self.painter = Painter(module, step)
        self.stops, self.extent, self.settings = stops, extent, settings
        self.guests: dict[int, Guest] = {}
        self._order = 0
        self._wake = threading.Event()
        self._server = _open(settings, name)
        ups = np.stack([-stop.camera.rotation[1].double().cpu().numpy() for stop in stops])
        self._server.scene.set_up_direction(tuple(ups.mean(axis=0)) if np.linalg.norm(ups.mean(axis=0)) > 0.1 else "-y")
        self._server.on_client_connect(self.arrived)
        self._server.on_client_disconnect(self.left)

    @property
    def address(self) -> str:
        """For the browser's address bar."""
        host = self._server.get_host()
        return f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{self._server.get_port()}"

    async def arrived(self, client: Any) -> None:
        """A browser has come."""
        least, most = LEAST_PIXELS, self.settings.pixels
        pace = Pace(1 / self.settings.fps, least, most)
        self.guests[client.client_id] = Guest(client, self.stops, pace, most, self.extent, self._wake.set)
        self._wake.set()

    async def left(self, client: Any) -> None:
        """A browser has gone."""
        self.guests.pop(client.client_id, None)
        self._wake.set()

    def draw_one(self) -> bool:
        """Draw for the next browser in turn that needs it; False where none does.

        What goes wrong for one browser ends neither a training nor the others' view: it is logged, and that browser is
        drawn for no more.
        """
        guests = list(self.guests.values())
        if not guests:
            self.painter.forget()
        now = time.monotonic()
        for turn in range(len(guests)):
            guest = guests[(self._order + turn) % len(guests)]
            if not guest.due(self.painter.step, now):
                continue
            self._order = (self._order + turn + 1) % len(guests)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=GONE)
                    guest.draw(self.painter)
            except Exception:
                log.exception("viewer: cannot draw for a browser; it may reload the page")
                self.guests.pop(guest.client.client_id, None)
            return True
        return False

    def serve(self) -> None:
        """Draw until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt, Stopped):
            while True:
                if not self.draw_one():
                    self._wake.wait(timeout=SETTLE / 4)  # somebody may have come to a stand
                    self._wake.clear()

    def close(self) -> None:
        """Stop listening; browsers see that the connection is gone."""
        self.guests.clear()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()


def _open(settings: ViewerSettings, name: str) -> Any:
    """A server that listens, and that opens no tunnel to the outside whatever a browser asks for."""
    import viser

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            return None

    # A line for every connection, and a traceback for every stranger's nonsense, are nobody's news.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    port = _port(settings.host, settings.port)
    with contextlib.redirect_stdout(io.StringIO()):  # it announces itself; so do we
        server = Server(host=settings.host, port=port, label=name, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
    server.gui.main_panel.dock_right()  # beside the picture, not over it
    return server


def _port(host: str, wanted: int) -> int:
    """``wanted`` where it can be had, else any free one. On an address that is not ours viser itself would hang."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        try:
            with socket.create_server((host, port), family=kind) as listener:
                return int(listener.getsockname()[1])
        except OSError as error:
            reason = error.strerror or str(error)
    raise SettingError("viewer.host", host, f"cannot listen there ({reason}): use 127.0.0.1, or 0.0.0.0 for all")
