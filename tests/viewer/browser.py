"""A headless Chromium, driven over the WebDriver protocol (W3C): a few lines instead of a package."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

DRIVER = shutil.which("chromedriver")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--window-size=1000,700", "--no-first-run", "--disable-extensions",
         "--no-proxy-server", "--disable-background-networking"]  # fmt: skip


class Browser:
    """One session of a running driver."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}/session"
        options = {"binary": BROWSER, "args": FLAGS}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._root += "/" + self._post("", wanted)["sessionId"]

    def _post(self, path: str, body: Any, method: str = "POST") -> Any:
        data = None if method != "POST" else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def open(self, address: str) -> None:
        self._post("/url", {"url": address})

    def run(self, script: str) -> Any:
        return self._post("/execute/sync", {"script": script, "args": []})

    def screenshot(self) -> np.ndarray:
        """(h, w, 3) uint8 of the window."""
        png = base64.b64decode(self._post("/screenshot", None, "GET"))
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def mouse(self, *points: tuple[int, int]) -> None:
        """Press at the first point, drag over the others, let go."""
        moves = [{"type": "pointerMove", "duration": 60, "x": x, "y": y} for x, y in points]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pause", "duration": 60},
                   {"type": "pointerUp", "button": 0}]  # fmt: skip
        self._post("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def close(self) -> None:
        self._post("", None, "DELETE")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    assert DRIVER is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        try:
            session = Browser(port)
        except OSError as error:  # versions that do not fit, or a stub of an installer
            pytest.skip(f"no session of Chromium begins: {error}")
        try:
            yield session
        finally:
            session.close()
    finally:
        process.terminate()
        process.wait(timeout=10)
