"""The scene in a browser: the section ``viewer``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, setting, such_that, within


@dataclass(frozen=True)
class ViewerSettings(Section, key="viewer"):
    """The scene in a browser: ``task=view`` of a finished run, ``viewer=live`` of one that trains (docs/viewer.md).

    Attributes:
        live: serve while training.
        keep: after a live training, go on serving its final state until Ctrl-C.
        host: address to listen on; the default is reached from this machine only, ``0.0.0.0`` from any.
        port: to listen on; where it is taken, and for 0, any free one is used. The log says which.
        fps: pictures per second while somebody moves; they become smaller until they can be had.
        pixels: of a picture while nobody moves, at most.
        share: part of the time of a training that drawing may take, while somebody looks.
    """

    live: bool = False
    keep: bool = False
    host: str = setting("127.0.0.1", such_that(bool, "give an address to listen on, such as 127.0.0.1"))
    port: int = setting(8080, within(0, 65535, "must lie in [0, 65535]; 0 takes any free one"))
    fps: float = setting(15.0, within(0.1, 120))
    pixels: int = setting(1_000_000, at_least(1024))
    share: float = setting(0.1, such_that(lambda share: 0 < share < 1, "is a part of the time: above 0, below 1"))

    def _check(self) -> None:
        self.need(self.live or not self.keep, "keep", "goes with viewer=live")
