"""Reads untrusted JSON and YAML files with limited effort and without executing anything."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from bags.errors import DataError

LARGEST = 20_000_000  # bytes; the JSON of a full multi-scale Blender scene has about 2 million
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LARGEST_YAML = 200_000  # bytes; a run's configuration has 8 thousand, and reading YAML is slow


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of a file.

    Raises:
        DataError: there is no such file (or it is a pipe or device), it has more than ``largest`` bytes, or it is
            neither UTF-8 nor UTF-16 with a byte order mark, which Windows programs write.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        if path.stat().st_size > largest:
            raise DataError(f"{path}: more than {largest:,} bytes, the limit for such a file")
        data = path.read_bytes()
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error


def read_json(path: Path) -> dict[str, Any]:
    """The top-level object of a JSON file.

    Raises:
        DataError: as ``read_text``; or it is not valid JSON, has a duplicate key, or is not an object.
    """
    try:
        return _object(path, json.loads(read_text(path), object_pairs_hook=_without_duplicates))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); copy it again or create it again") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file of plain values.

    Raises:
        DataError: as ``read_text``; or it is not valid YAML, is not a mapping, or has a duplicate key, a tag, an alias
            or ``${...}`` (a few lines could stand for gigabytes, or insert values of the environment).
    """
    try:
        return _object(path, yaml.load(read_text(path, LARGEST_YAML), _Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as YAML ({error})") from error


def _object(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DataError(f"{path}: contains a {type(value).__name__} instead of keys and values; create it again")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"{twice!r} is given twice")
    return values


class _Loader(yaml.SafeLoader):
    """Plain values only: no aliases, tags or references."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if reference := _reference(event):
            raise yaml.YAMLError(f"{reference}, line {event.start_mark.line + 1}: write the value itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        _without_duplicates([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return super().construct_mapping(node, deep)


def _reference(event: Any) -> str | None:
    if isinstance(event, yaml.AliasEvent):
        return "an alias"
    if getattr(event, "tag", None) is not None:
        return f"a tag {event.tag}"
    # OmegaConf would replace it by another value, or by one of the environment.
    return "a ${...}" if "${" in getattr(event, "value", "") else None
