"""What a browser's page says to the server and hears from it, without a browser."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
import viser
import zstandard
from PIL import Image
from viser import _messages
from websockets.sync.client import ClientConnection, connect

from bags.viewer.eye import Eye
from tests.waiting import HANG

Draw = Callable[[], Any]


def no_drawing() -> None:
    """Somebody else draws."""


class Page:
    """A connection that speaks the server's protocol."""

    def __init__(self, address: str) -> None:
        protocol: Any = f"viser-v{viser.__version__}"
        self.socket: ClientConnection = connect(
            address.replace("http", "ws"), subprotocols=[protocol], max_size=None, open_timeout=HANG
        )
        self.heard: list[dict[str, Any]] = []
        self.read = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def say(self, message: _messages.Message) -> None:
        self.socket.send(msgspec.msgpack.encode(message.as_serializable_dict()))

    def look(self, eye: Eye, **wrong: Any) -> None:
        fields: dict[str, Any] = {
            "wxyz": eye.wxyz, "position": eye.position, "fov": eye.fov, "near": 0.01, "far": 1000.0,
            "image_height": eye.height, "image_width": eye.width, "look_at": (0.0, 0.0, 1.0),
            "up_direction": (0.0, -1.0, 0.0),
        }  # fmt: skip
        self.say(_messages.ViewerCameraMessage(**(fields | wrong)))

    def click(self, across: float, down: float) -> None:
        self.say(_messages.ScenePointerMessage("click", (0, 0, 0), (0, 0, 1), ((across, down),), None))

    def choose(self, label: str, value: Any) -> None:
        """Set the control of that name."""
        made = next(m for m in self.heard if m["type"].startswith("Gui") and m.get("props", {}).get("label") == label)
        self.say(_messages.GuiUpdateMessage(made["uuid"], {"value": value}))

    def hear(self, kind: str, draw: Draw = no_drawing, good: Callable[[Any], bool] = bool) -> Any:
        """The next message of a kind that is good, after the last one so heard; ``draw`` is called while waiting."""
        end = time.monotonic() + HANG
        while time.monotonic() < end:
            while self.read < len(self.heard):
                message = self.heard[self.read]
                self.read += 1
                if message["type"] == kind and good(message):
                    return message
            draw()
            with contextlib.suppress(TimeoutError):
                raw = self.socket.recv(timeout=0.02)
                assert isinstance(raw, bytes)
                size = int.from_bytes(raw[8:16], "little")
                content = zstandard.ZstdDecompressor().decompress(raw[16 : 16 + size])
                self.heard += msgspec.msgpack.decode(content)["messages"]
        raise TimeoutError(f"no such {kind}; heard {[message['type'] for message in self.heard][-20:]}")

    def picture(self, draw: Draw = no_drawing) -> np.ndarray:
        """The next picture, (h, w, 3) uint8."""
        message = self.hear("BackgroundImageMessage", draw, lambda message: message["rgb_data"] is not None)
        return np.asarray(Image.open(io.BytesIO(message["rgb_data"])))

    def told(self, words: str, draw: Draw = no_drawing) -> str:
        """The next text on the panel that contains ``words``."""
        return str(self.hear("GuiUpdateMessage", draw, lambda m: words in str(m["updates"]))["updates"])
