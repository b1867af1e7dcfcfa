"""The viewer: a server for browsers, which draws on the caller's thread.

The server (viser) runs on its own thread, where messages from browsers only change what they want to see. Pictures are
drawn where ``Viewer.draw_one`` is called, between training steps or in ``Viewer.serve``. So the model is never read
while it changes, and no lock is needed.
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

LEAST_PIXELS = 160 * 120  # of a picture while the camera moves, even on slow machines
GONE = "Queued a .* on a closed connection"  # viser's warning when a browser disappears while we write to it


def need_viser() -> None:
    """Check that the server's package is installed.

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
        module: trained, or being trained.
        stops: views to jump to.
        extent: of the scene.
        settings: where to listen, how fast and how large to draw.
        step: current step of the model.
        name: of the run.

    Raises:
        BagsError: viser is not installed, or there is no view.
        SettingError: ``viewer.host`` is not an address of this machine.
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
        """URL for the browser."""
        host = self._server.get_host()
        return f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{self._server.get_port()}"

    async def arrived(self, client: Any) -> None:
        """Handle a new browser."""
        least, most = LEAST_PIXELS, self.settings.pixels
        pace = Pace(1 / self.settings.fps, least, most)
        self.guests[client.client_id] = Guest(client, self.stops, pace, most, self.extent, self._wake.set)
        self._wake.set()

    async def left(self, client: Any) -> None:
        """Handle a browser that disconnected."""
        self.guests.pop(client.client_id, None)
        self._wake.set()

    def draw_one(self) -> bool:
        """Draw for the next browser in turn that needs it; False if none does.

        An error with one browser does not stop the training or the other browsers: it is logged, and nothing more is
        drawn for that browser.
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
                log.exception("viewer: drawing for a browser failed; reload its page to connect again")
                self.guests.pop(guest.client.client_id, None)
            return True
        return False

    def serve(self) -> None:
        """Draw until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt, Stopped):
            while True:
                if not self.draw_one():
                    self._wake.wait(timeout=SETTLE / 4)  # a camera may have become still meanwhile
                    self._wake.clear()

    def close(self) -> None:
        """Stop listening; browsers show that the connection is closed."""
        self.guests.clear()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()


def _open(settings: ViewerSettings, name: str) -> Any:
    """A listening server that never opens a public tunnel, even if a browser asks for one."""
    import viser

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            return None

    # Its log has a line for every connection and a traceback for every malformed request, which nobody needs.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    port = _port(settings.host, settings.port)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its address, which we log ourselves
        server = Server(host=settings.host, port=port, label=name, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
    server.gui.main_panel.dock_right()  # beside the picture, not over it
    return server


def _port(host: str, wanted: int) -> int:
    """``wanted`` if it is free, else any free port. Viser itself would hang on an address of another machine."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        try:
            with socket.create_server((host, port), family=kind) as listener:
                return int(listener.getsockname()[1])
        except OSError as error:
            reason = error.strerror or str(error)
    raise SettingError("viewer.host", host, f"cannot listen there ({reason}): use 127.0.0.1, or 0.0.0.0 for all")
