"""Which pairs of photos are matched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

ALL_PAIRS = 80  # up to this number of photos, all pairs are matched
NEIGHBOURS = 20  # with more, each photo is matched with this number of following ones,
LOOP = 5  # and every fifth photo with every other fifth one, to close loops of the camera's path

Name = TypeVar("Name")


def pairs_of(names: Sequence[Name]) -> list[tuple[Name, Name]]:
    """Pairs of ``names``, which are in the order in which the photos were taken."""
    return [
        (names[i], names[j])
        for i, j in combinations(range(len(names)), 2)
        if len(names) <= ALL_PAIRS or j - i <= NEIGHBOURS or (i % LOOP == 0 and j % LOOP == 0)
    ]
