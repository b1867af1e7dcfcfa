"""What one part of the campaign found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """How many faults were tried and how many the program survived.

    `lost` has one line for each that it did not: enough words to repeat it.
    """

    name: str
    tried: int
    survived: int
    lost: list[str]
