"""JSON files of data sets, with validation: every error names the file, the key and what was expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bags.errors import DataError, shown
from bags.io import documents


@dataclass(frozen=True)
class JsonObject:
    """An object of a JSON file, with its place in the file.

    Attributes:
        path: the file.
        where: the place in it, such as ``frames[3]``; empty at the top level.
        values: by their keys.
    """

    path: Path
    where: str
    values: dict[str, Any]

    def fail(self, key: str, expected: str) -> DataError:
        """The error to raise if ``key`` is not as ``expected``."""
        place = f"{self.where}.{key}" if self.where else key
        got = "missing" if key not in self.values else shown(self.values[key])
        return DataError(f"{self.path}: {place} is {got}: {expected}; correct the file or export it again")

    def unknown(self, known: Sequence[str]) -> list[str]:
        """Keys that are not in ``known``."""
        return sorted(set(self.values) - set(known))

    def text(self, key: str) -> str:
        """A non-empty text."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "must be non-empty text")
        return value

    def positive(self, key: str) -> float:
        """A finite number above 0."""
        value: Any = self.values.get(key)
        if not _is_number(value) or not math.isfinite(value) or value <= 0:
            raise self.fail(key, "must be a finite number above 0")
        return float(value)

    def number(self, key: str) -> float:
        """A finite number."""
        value: Any = self.values.get(key)
        if not _is_number(value) or not math.isfinite(value):
            raise self.fail(key, "must be a finite number")
        return float(value)

    def items(self, key: str) -> list[Any]:
        """A non-empty list."""
        value = self.values.get(key)
        if not isinstance(value, list) or not value:
            raise self.fail(key, "must be a non-empty list")
        return value

    def part(self, key: str) -> JsonObject:
        """The object below ``key``."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise self.fail(key, "must be an object: {...}")
        return JsonObject(self.path, f"{self.where}.{key}" if self.where else key, value)

    def parts(self, key: str) -> list[JsonObject]:
        """The objects listed below ``key``."""
        values = self.items(key)
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise DataError(f"{self.path}: {key}[{index}] is {shown(value)}: must be an object: {{...}}")
        return [JsonObject(self.path, f"{key}[{index}]", value) for index, value in enumerate(values)]

    def matrix(self, key: str) -> NDArray[np.float64]:
        """(4, 4) finite numbers; if the last row is left out, it is 0 0 0 1."""
        rows = self.values.get(key)
        if isinstance(rows, list) and len(rows) == 3:
            rows = [*rows, [0, 0, 0, 1]]
        if isinstance(rows, list) and len(rows) == 4 and all(map(_is_row, rows)):
            matrix = np.array(rows, dtype=np.float64)
            if np.isfinite(matrix).all():
                return matrix
        raise self.fail(key, "must be a 4 x 4 or 3 x 4 matrix of finite numbers")


def read_json(path: Path, remedy: str) -> JsonObject:
    """The top-level object of a JSON file.

    Args:
        path: of the file.
        remedy: what to do if it is missing.

    Raises:
        DataError: it is missing, or as ``bags.io.documents.read_json``.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; {remedy}")
    return JsonObject(path, "", documents.read_json(path))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1e300)


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))
