"""How large pictures are drawn while the camera moves."""

from __future__ import annotations


class Pace:
    """Chooses the number of pixels of a picture so that drawing it takes a given time.

    Args:
        seconds: that a picture may take.
        least, most: limits of the number of pixels.
    """

    def __init__(self, seconds: float, least: float, most: float) -> None:
        self.seconds = seconds
        self.least = min(least, most)
        self.most = most
        self.pixels = self.least

    def took(self, seconds: float) -> None:
        """Adapt ``pixels`` to the time of the last picture; at most by a factor of 2, as single times are noisy."""
        change = self.seconds / max(seconds, 1e-6)
        self.pixels = min(max(self.pixels * min(max(change, 0.5), 2.0), self.least), self.most)
