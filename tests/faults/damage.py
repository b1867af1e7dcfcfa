"""Damage that any file can take: to its bytes, to its lines, to the file itself."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

HUGE = (2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**9, 65535, 0)
EVIL_FLOATS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e30, 1e-308, 0.0, -1.0)
EVIL_WORDS = (
    "nan", "inf", "-inf", "1e308", "-1", "0", "99999999999999999999", "1e400", "0x10", "", "\x00", "\u202e", "ü" * 300,
    "../../outside/photo.png", "/etc/passwd", "[/red]", "=1+1", "<script>alert(1)</script>",
    "{{7*7}}", "${oc.env:HOME}",
)  # fmt: skip
SPARSE = 3 << 30  # bytes that a file claims and does not take

Damage = Callable[[Path, Random], str]
"""Damages the file and says how; random draws come from the generator alone, so that they can be repeated."""


def outside(path: Path) -> Path:
    """A folder that nothing in an input may lead to, for any ``path`` of the input."""
    return next(above for above in path.parents if above.name == "case").parent / "outside"


def cut(path: Path, rng: Random) -> str:
    data = path.read_bytes()
    keep = rng.randrange(len(data) + 1)
    path.write_bytes(data[:keep])
    return f"cut to {keep} of {len(data)} bytes"


def flip(path: Path, rng: Random) -> str:
    data = bytearray(path.read_bytes())
    places = [rng.randrange(8 * len(data)) for _ in range(rng.choice((1, 1, 2, 8, 64)))] if data else []
    for place in places:
        data[place // 8] ^= 1 << place % 8
    path.write_bytes(bytes(data))
    return f"bits {places[:4]} flipped"


def overwrite(path: Path, rng: Random) -> str:
    data = bytearray(path.read_bytes())
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 4, 16, 256))
    fill = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    data[at : at + size] = fill
    path.write_bytes(bytes(data))
    return f"{size} bytes at {at} overwritten with {fill[:4].hex()}.."


def splice(path: Path, rng: Random) -> str:
    data = path.read_bytes()
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    path.write_bytes(data[:at] + data[a:b] + data[at:])
    return f"bytes {a} to {b} put in at {at}"


def take_out(path: Path, rng: Random) -> str:
    data = path.read_bytes()
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    path.write_bytes(data[:a] + data[b:])
    return f"bytes {a} to {b} taken out"


def twice(path: Path, rng: Random) -> str:
    path.write_bytes(path.read_bytes() * rng.choice((2, 3)))
    return "whole file again at its end"


def huge_count(path: Path, rng: Random) -> str:
    """Where an integer may stand; counts stand at the beginning of most files."""
    data = bytearray(path.read_bytes())
    number, form = rng.choice(HUGE), rng.choice(("<H", "<I", "<Q", ">H", ">I", ">Q"))
    at = rng.randrange(max(1, min(len(data), rng.choice((16, 64, 1 << 20)))))
    data[at : at + struct.calcsize(form)] = struct.pack(form, number % 256 ** struct.calcsize(form))
    path.write_bytes(bytes(data))
    return f"{number} as {form} at {at}"


def evil_float(path: Path, rng: Random) -> str:
    data = bytearray(path.read_bytes())
    value, form = rng.choice(EVIL_FLOATS), rng.choice(("<f", "<d"))
    if form == "<f" and abs(value) > 3e38:
        value = float("inf")
    at = rng.randrange(max(1, len(data)))
    data[at : at + struct.calcsize(form)] = struct.pack(form, value)
    path.write_bytes(bytes(data))
    return f"{value} as {form} at {at}"


def noise(path: Path, rng: Random) -> str:
    size = rng.choice((0, 1, 8, 64, 5000))
    path.write_bytes(rng.randbytes(size))
    return f"{size} random bytes"


def word(path: Path, rng: Random) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        return "nothing: it is empty"
    line = rng.randrange(len(lines))
    words = lines[line].split(" ")
    at = rng.randrange(len(words))
    words[at] = rng.choice(EVIL_WORDS)
    lines[line] = " ".join(words)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return f"word {at} of line {line} is {words[at][:30]!r}"


def line(path: Path, rng: Random) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    at = rng.randrange(len(lines))
    new = rng.choice(([], [lines[at]] * 2, [lines[at] * 50], [lines[at][: len(lines[at]) // 2]], ["x " * 100_000]))
    lines[at : at + 1] = new
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"line {at} became {len(new)} line(s)"


def not_a_file(path: Path, rng: Random) -> str:
    """Something else in the file's place."""
    kind = rng.choice(("missing", "folder", "loop", "dangling", "device", "pipe", "long file", "unreadable link"))
    target = {"loop": path.name, "dangling": str(outside(path) / "no/such/file"), "device": "/dev/zero"}.get(kind)
    if kind == "long file":
        os.truncate(path, SPARSE)
        return "zeros at its end, up to 3 GB"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unreadable link":
        path.symlink_to("x" * 200 + "/" + "y" * 200)
    elif target is not None:
        path.symlink_to(target)
    return f"replaced: {kind}"


def another(path: Path, rng: Random) -> str:
    """The content of another file of the same input."""
    others = sorted(p for p in path.parent.rglob("*") if p.is_file() and not p.is_symlink() and p != path)
    if not others:
        return "nothing: it is alone"
    other = rng.choice(others)
    shutil.copyfile(other, path)
    return f"content of {other.name}"


BYTES: tuple[Damage, ...] = (
    cut, cut, flip, flip, flip, overwrite, overwrite, splice, take_out, twice, huge_count, huge_count, evil_float,
    evil_float, noise, another,
)  # fmt: skip
LINES: tuple[Damage, ...] = (word, word, word, line, cut, flip, overwrite, twice)
