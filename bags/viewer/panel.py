"""The controls that a browser shows, and their handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bags.io.images import to_uint8
from bags.viewer.at_photo import LAYERS
from bags.viewer.painter import KernelPicture, Stop

MOVE = "Drag to turn, right-drag to pan, scroll to zoom."
COMPARE = "The photo, the sharp scene, and the scene with the photo's blur."
HINT = "Click a training photo to see its blur kernel at that place."


class Panel:
    """The controls in order of use: move, choose a photo, compare, click for a kernel; then a line of facts.

    Handlers are coroutines, so the server runs them one after the other on its own thread. They only record what the
    user wants.

    Args:
        gui: of the browser (``viser.ClientHandle.gui``).
        stops: the views.
        jump: called with the index of the chosen view.
        show: called with the chosen layer.
        coarsen: called with True for the photo's resolution, False for the window's.
    """

    def __init__(
        self,
        gui: Any,
        stops: Sequence[Stop],
        jump: Callable[[int], None],
        show: Callable[[str], None],
        coarsen: Callable[[bool], None],
    ) -> None:
        self._labels = [stop.label for stop in stops]
        self._jump, self._show, self._coarsen = jump, show, coarsen
        self._current = 0
        with gui.add_folder("Move"):
            gui.add_markdown(MOVE)
            self.views = gui.add_dropdown("photo", self._labels, initial_value=self._labels[0])
            self.go = gui.add_button_group("go", ("previous", "back", "next"))
        with gui.add_folder("Compare"):
            gui.add_markdown(COMPARE)
            self.layers = gui.add_dropdown("show", LAYERS, initial_value=LAYERS[0])
            self.pixels = gui.add_checkbox(
                "photo's pixels", False, hint="At a photo's viewpoint: draw at the resolution of its training."
            )
        with gui.add_folder("Blur kernel"):
            self.kernel_facts = gui.add_markdown(HINT)
            self.kernel = gui.add_image(np.zeros((8, 8, 3), np.uint8), format="png", visible=False)
        self.facts = gui.add_markdown("")
        self.views.on_update(self.view_chosen)
        self.go.on_click(self.go_pressed)
        self.layers.on_update(self.layer_chosen)
        self.pixels.on_update(self.pixels_chosen)

    async def view_chosen(self, event: Any) -> None:
        """Handle a choice from the list of views, by the user or by ``go_pressed``."""
        label = event.target.value
        if label in self._labels and (index := self._labels.index(label)) != self._current:
            self._current = index
            self._jump(index)

    async def go_pressed(self, event: Any) -> None:
        """Handle the buttons for the previous view, the current one, and the next one."""
        way = {"previous": -1, "back": 0, "next": 1}.get(str(event.target.value))
        if way is None:
            return
        self._current = (self._current + way) % len(self._labels)
        self._jump(self._current)
        self.views.value = self._labels[self._current]

    async def layer_chosen(self, event: Any) -> None:
        """Handle the choice of a layer."""
        if event.target.value in LAYERS:
            self._show(event.target.value)

    async def pixels_chosen(self, event: Any) -> None:
        """Handle the choice between the photo's resolution and the window's."""
        self._coarsen(bool(event.target.value))

    def tell(self, facts: str) -> None:
        """Show a line of facts."""
        if self.facts.content != facts:
            self.facts.content = facts

    def show_kernel(self, kernel: KernelPicture | None) -> None:
        """Show a kernel and its size, or the hint how to get one."""
        self.kernel.visible = kernel is not None
        if kernel is None:
            self.kernel_facts.content = HINT
            return
        self.kernel.image = to_uint8(kernel.picture).numpy()
        mask = "" if kernel.mask is None else f", mask {kernel.mask:.2f}"
        self.kernel_facts.content = (
            f"size **{kernel.spread:.2f} px** (root mean square){mask}, window {kernel.side} x {kernel.side} px"
        )
