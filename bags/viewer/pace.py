"""How large pictures are drawn while somebody moves."""

from __future__ import annotations


class Pace:
    """Chooses the number of pixels of a picture so that one is drawn in the time that there is.

    Args:
        seconds: that a picture may take.
        least, most: pixels.
    """

    def __init__(self, seconds: float, least: float, most: float) -> None:
        self.seconds = seconds
        self.least = min(least, most)
        self.most = most
        self.pixels = self.least

    def took(self, seconds: float) -> None:
        """Learn from a picture of ``pixels`` pixels. At most twice or half as many follow: single times are noisy."""
        change = self.seconds / max(seconds, 1e-6)
        self.pixels = min(max(self.pixels * min(max(change, 0.5), 2.0), self.least), self.most)
