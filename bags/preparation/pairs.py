"""Which photos are compared with which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

ALL_PAIRS = 80  # so many photos are compared each with each
NEIGHBOURS = 20  # of more, each with so many that follow by name,
LOOP = 5  # and one in so many with every other such one: the way may lead back to where it was before

Name = TypeVar("Name")


def pairs_of(names: Sequence[Name]) -> list[tuple[Name, Name]]:
    """Pairs of ``names``, which stand in the order in which the photos were taken."""
    return [
        (names[i], names[j])
        for i, j in combinations(range(len(names)), 2)
        if len(names) <= ALL_PAIRS or j - i <= NEIGHBOURS or (i % LOOP == 0 and j % LOOP == 0)
    ]
