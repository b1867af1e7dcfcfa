"""Reads what an offline Weights & Biases run has written."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

from tests.waiting import until

BLOCK = 32768
HEADER = 7  # of the file and of every piece of a record: 4 bytes checksum, 2 bytes length, 1 byte kind
LAST_KINDS = (1, 4)  # a whole record, or the last piece of one


def records(path: Path) -> Iterator[Record]:
    """The records of a ``.wandb`` file: LevelDB's log format."""
    data, at, parts = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too short for a piece: padding
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + HEADER])
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in LAST_KINDS:
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def settled(path: Path) -> list[Record]:
    """All records of a finished run; its last ones reach the file a moment after the run has ended."""
    until(lambda: any(record.WhichOneof("record_type") == "exit" for record in records(path)))
    return list(records(path))


def items(parts: Any) -> dict[str, Any]:
    """Keys and values of a configuration, history or summary record."""
    return {part.key or ".".join(part.nested_key): json.loads(part.value_json) for part in parts}
