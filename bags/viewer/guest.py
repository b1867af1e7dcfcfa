"""One connected browser: what it wants to see and what it has been shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from bags.io.images import to_uint8
from bags.viewer.at_photo import LAYERS, at_photo
from bags.viewer.eye import Eye
from bags.viewer.pace import Pace
from bags.viewer.painter import FROM_ANYWHERE, Painter, Stop, orbit_distance
from bags.viewer.panel import Panel

SETTLE = 0.25  # seconds without a move after which the camera counts as still
QUALITY = 90  # of JPEG


@dataclass(frozen=True)
class Wish:
    """What a browser wants to see. The server's thread replaces it and the drawing thread reads it, always as a whole.

    Attributes:
        eye: the free camera; None: not yet reported by the browser.
        moved: time of its last move, ``time.monotonic`` seconds.
        layer: one of ``LAYERS``.
        coarse: at a photo's viewpoint, draw at most the resolution at which the photo is trained, as squares.
        stop: index of the view last jumped to; ``jumps`` counts the jumps.
        click: place of the last click, as fractions of the window's width and height; ``clicks`` counts the clicks.
    """

    eye: Eye | None = None
    moved: float = 0.0
    layer: str = LAYERS[0]
    coarse: bool = False
    stop: int = 0
    jumps: int = 1
    click: tuple[float, float] = (0.5, 0.5)
    clicks: int = 0


class Guest:
    """One browser: records what it wants to see, and draws that when the drawing thread calls ``draw``.

    Args:
        client: ``viser.ClientHandle``.
        stops: views to jump to; at least one.
        pace: chooses the size of pictures while the camera moves.
        most: largest number of pixels of a picture while the camera is still.
        extent: of the scene.
        wake: called when there is something to draw.
    """

    def __init__(
        self, client: Any, stops: Sequence[Stop], pace: Pace, most: float, extent: float, wake: Callable[[], None]
    ) -> None:
        self.client, self.stops, self.pace, self.most, self.extent = client, stops, pace, most, extent
        self.wish = Wish(eye=Eye.reported(client.camera))
        self.shown: Wish | None = None
        self.shown_step, self.shown_whole = 0, False
        self._jumped = self._clicked = 0
        self._wake = wake
        self.panel = Panel(client.gui, stops, self.jump, self.show, self.coarsen)
        client.camera.on_update(self.moved)
        client.scene.on_click()(self.clicked)

    def _want(self, **changes: Any) -> None:
        self.wish = replace(self.wish, **changes)
        self._wake()

    async def moved(self, camera: Any) -> None:
        """Handle a move of the browser's camera, or another size of its window."""
        eye = Eye.reported(camera)
        if eye is not None and eye != self.wish.eye:
            self._want(eye=eye, moved=time.monotonic())

    async def clicked(self, event: Any) -> None:
        """Handle a click on the picture."""
        across, down = event.screen_pos
        if 0 <= across < 1 and 0 <= down < 1:
            self._want(click=(float(across), float(down)), clicks=self.wish.clicks + 1)

    def jump(self, index: int) -> None:
        """Go to a photo's viewpoint."""
        self._want(stop=index, jumps=self.wish.jumps + 1, moved=time.monotonic())

    def show(self, layer: str) -> None:
        """Choose another layer."""
        self._want(layer=layer)

    def coarsen(self, coarse: bool) -> None:
        """Choose between the photo's resolution and the window's."""
        self._want(coarse=coarse)

    def due(self, step: int, now: float) -> bool:
        """Whether there is something to draw."""
        wish = self.wish
        if wish.eye is None:
            return False
        still = now - wish.moved >= SETTLE
        return wish != self.shown or (still and (not self.shown_whole or self.shown_step != step))

    def draw(self, painter: Painter) -> None:
        """Draw what is wanted now, and send it."""
        wish, start = self.wish, time.monotonic()
        if wish.eye is None:
            return
        self.shown, self.shown_step = wish, painter.step
        stop, eye = self.stops[wish.stop], wish.eye
        if wish.jumps != self._jumped:
            self._jumped = wish.jumps
            eye = Eye.at(stop.camera, eye.width, eye.height)
            self._send_to(eye, painter)
        at_stop = eye.is_at(Eye.at(stop.camera, eye.width, eye.height), self.extent)
        still = start - wish.moved >= SETTLE
        # A photo's own layers cost the same at any size: they are drawn in full at once and do not count for the pace.
        self.shown_whole = still or (at_stop and wish.layer not in FROM_ANYWHERE)
        pixels = self.most if self.shown_whole else self.pace.pixels
        if at_stop:
            shown = at_photo(painter, stop, wish.layer, wish.coarse, (eye.width, eye.height), pixels)
            picture, where, note = shown.picture, stop.label, shown.note
        else:
            drawn = wish.layer in FROM_ANYWHERE
            picture = painter.from_anywhere(wish.layer if drawn else "sharp", eye.camera(pixels))
            where, note = "free camera", "" if drawn else f"\n\n*{wish.layer}*: only at a photo's place; press *back*"
        self._send(picture)
        if not self.shown_whole:
            self.pace.took(time.monotonic() - start)
        if wish.clicks != self._clicked:
            self._clicked = wish.clicks
            place = shown.frame.place(*wish.click) if at_stop else None
            self.panel.show_kernel(None if place is None else painter.kernel(stop, *place))
        seconds = time.monotonic() - start
        self.panel.tell(
            f"{where}, {picture.shape[2]} x {picture.shape[1]} in {1000 * seconds:.0f} ms, "
            f"step {painter.step}, {len(painter.module.gaussians):,} Gaussians{note}"
        )

    def _send_to(self, eye: Eye, painter: Painter) -> None:
        """Move the browser's camera to a pose; it will orbit around what is ahead."""
        camera, forward, down = self.client.camera, eye.axes[:, 2], eye.axes[:, 1]
        distance = orbit_distance(painter.module.gaussians.means, eye.position, list(forward), self.extent)
        with self.client.atomic():
            camera.position = eye.position
            camera.look_at = [p + distance * f for p, f in zip(eye.position, forward, strict=True)]
            camera.up_direction = -down
            camera.fov = eye.fov

    def _send(self, picture: Tensor) -> None:
        image = to_uint8(picture).contiguous().numpy()
        self.client.scene.set_background_image(image, format="jpeg", jpeg_quality=QUALITY)
