"""The scene in the browser: the section ``viewer``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, setting, such_that, within


@dataclass(frozen=True)
class ViewerSettings(Section, key="viewer"):
    """The scene in the browser: ``task=view`` for a finished run, ``viewer=live`` during training (docs/viewer.md).

    Attributes:
        live: serve while training.
        keep: after a live training, keep serving its final state until Ctrl-C.
        host: address to listen on; the default is reachable from this machine only, ``0.0.0.0`` from any.
        port: port to listen on; if it is taken, and for 0, any free one is used. The log says which.
        fps: pictures per second while somebody moves; pictures become smaller until this rate is reached.
        pixels: upper limit for the size of a picture while nobody moves.
        share: fraction of the training time that drawing may take while somebody is looking.
    """

    live: bool = False
    keep: bool = False
    host: str = setting("127.0.0.1", such_that(bool, "give an address to listen on, such as 127.0.0.1"))
    port: int = setting(8080, within(0, 65535, "must lie in [0, 65535]; 0 takes any free one"))
    fps: float = setting(15.0, within(0.1, 120))
    pixels: int = setting(1_000_000, at_least(1024))
    share: float = setting(
        0.1, such_that(lambda share: 0 < share < 1, "must be a fraction of the time: above 0, below 1")
    )

    def _check(self) -> None:
        self.need(self.live or not self.keep, "keep", "needs viewer=live")
