"""Files made to do harm: pictures that claim or unpack to too much, checkpoints that carry code or lie."""

from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image

from tests.faults.damage import Damage, flip, huge_count, outside, overwrite

MEGABYTE = bytes(1 << 20)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png(path: Path, rng: Random) -> str:
    """A PNG whose parts are well-formed and absurd."""
    zeros = zlib.compress(bytes(100 << 20), 9)  # 100 MB in 100 kB
    claims = rng.choice(((60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0), (13_000, 13_000), (65_535, 20_000)))
    end = png_chunk(b"IEND", b"")
    what, data = rng.choice([
        (f"claims {claims}", _header(*claims) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + end),
        ("claims 15000 x 15000 and holds much of it", _header(15_000, 15_000) + png_chunk(b"IDAT", zeros) + end),
        ("too much in a small picture", _header(72, 64) + png_chunk(b"IDAT", zeros) + end),
        ("text that unpacks", _header(72, 64) + png_chunk(b"zTXt", b"k\0\0" + zeros) + end),
        ("profile that unpacks", _header(72, 64) + png_chunk(b"iCCP", b"k\0\0" + zeros) + end),
        ("chunk of 4 GB", _header(72, 64) + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(100)),
        ("no pixels", _header(72, 64) + end),
    ])  # fmt: skip
    path.write_bytes(data)
    return what


def exif(path: Path, rng: Random) -> str:
    """A JPEG whose EXIF data are nonsense."""
    photo = Image.effect_noise((72, 64), 50).convert("RGB")
    made = Image.Exif()
    made[0x0112] = rng.choice((0, 1, 3, 6, 9, 255, 65535))
    made[0x010F], made[0x0110] = rng.choice(("Acme", "\0\0", "x" * 5000)), rng.choice(("One", "[/red]", "=1+1"))
    lens = made.get_ifd(0x8769)
    lens[0x920A] = rng.choice(((50, 1), (1, 0), (0, 0), (2**32 - 1, 1)))
    data = bytearray(made.tobytes())
    for _ in range(rng.choice((0, 1, 4, 20))):
        at = rng.randrange(6, len(data))
        data[at : at + 2] = rng.choice((b"\xff\xff", b"\0\0", rng.randbytes(2)))
    photo.save(path, "JPEG", exif=bytes(data))
    return f"EXIF {bytes(data[:24]).hex()}.."


def disguised(path: Path, rng: Random) -> str:
    """A format that nobody asked for, under a photo's name."""
    mark = outside(path) / "ran"
    postscript = (
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 72 64\n%%EndComments\n"
        f"({mark}) (w) file closefile (%pipe%touch {mark}) (w) file closefile\n%%EOF\n"
    )
    photo, file = Image.effect_noise((72, 64), 50), io.BytesIO()
    kind = rng.choice(("EPS", "GIF", "PPM", "ICO", "TGA", "PCX", "IM", "DDS", "SVG"))
    if kind not in ("EPS", "SVG"):
        photo.convert("P" if kind == "GIF" else "RGB").save(file, kind)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    path.write_bytes({"EPS": postscript.encode(), "SVG": svg}.get(kind, file.getvalue()))
    return f"is {kind}"


class Bomb:
    """Leaves a mark where it is unpickled by whoever runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def checkpoint_code(path: Path, rng: Random) -> str:
    bomb = Bomb(outside(path) / "ran")
    saved = torch.load(path, weights_only=True)
    what = rng.choice(("alone", "beside", "within", "old format", "bare pickle"))
    if what == "within":
        saved["state_dict"]["gaussians._extra_state"] = bomb
    value = {"alone": bomb, "within": saved}.get(what, {**saved, "bomb": bomb})
    if what == "bare pickle":
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=what != "old format")
    return f"code, {what}"


def checkpoint_values(path: Path, rng: Random) -> str:
    """Whole and well-formed, and no state of any model."""
    saved = torch.load(path, weights_only=True)
    state = saved["state_dict"]
    key = rng.choice([key for key in state if isinstance(state[key], torch.Tensor) and state[key].numel()])
    tensor, flat = state[key], state[key].clone()
    flat.view(-1)[rng.randrange(flat.numel())] = rng.choice((float("nan"), float("inf"), -float("inf"), 3e38, -3e38))
    extra = {
        "extent": rng.choice((1.0, float("nan"), -1.0, "x", None, 1e308)),
        "sh_degree": rng.choice((1, 7, -1, "x")),
    }
    what, change = rng.choice([
        (f"{key} not finite", {key: flat}),
        (f"{key} shorter", {key: tensor[: len(tensor) // 2] if tensor.dim() else tensor}),
        (f"{key} longer", {key: torch.cat([tensor, tensor]) if tensor.dim() else tensor}),
        (f"{key} wider", {key: tensor[..., None].expand(*tensor.shape, 3).clone()}),
        (f"{key} of whole numbers", {key: tensor.long()}),
        (f"{key} complex", {key: tensor.to(torch.complex64)}),
        (f"{key} empty", {key: tensor[:0] if tensor.dim() else tensor}),
        (f"{key} sparse", {key: tensor.to_sparse() if tensor.dim() else tensor}),
        (f"{key} a text", {key: "x"}),
        (f"{key} stands for a terabyte", {key: torch.zeros(1).expand(2**38)}),
        ("no Gaussians", {k: v[:0] for k, v in state.items() if k.startswith("gaussians.") and hasattr(v, "dim")}),
        ("extra state", {"gaussians._extra_state": extra}),
        ("extra state a list", {"gaussians._extra_state": [1, 2]}),
    ])  # fmt: skip
    state |= change
    if rng.random() < 0.3:
        step = rng.choice((-5, "../../outside/x", None, 10**12, 1.5, [1], float("nan")))
        saved["global_step"], what = step, f"{what}; step {step!r}"
    elif rng.random() < 0.2:
        gone = rng.choice(sorted(saved))
        del saved[gone]
        what = f"{what}; no {gone}"
    torch.save(saved, path)
    return what


def checkpoint_archive(path: Path, rng: Random) -> str:
    """The archive itself repacked: other content under right checksums, deflated zeros, names that lead outside."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    names = sorted(members)
    name = next(n for n in names if n.endswith("data.pkl")) if rng.random() < 0.6 else rng.choice(names)
    what = rng.choice(("damaged", "damaged", "deflated", "unpacks to much", "leads outside", "twice", "gone", "short"))
    packing = zipfile.ZIP_DEFLATED if what in ("deflated", "unpacks to much") else zipfile.ZIP_STORED
    if what == "damaged":
        part = path.with_name("part")
        part.write_bytes(members[name])
        what = f"{rng.choice((flip, huge_count, overwrite))(part, rng)} in {name}"
        members[name] = part.read_bytes()
        part.unlink()
    elif what == "unpacks to much":
        name = next(n for n in names if "/data/" in n)
    elif what == "short":
        name = max((n for n in names if "/data/" in n), key=lambda n: len(members[n]))
        members[name] = members[name][:8]
    elif what == "gone":
        del members[name]
    elif what == "leads outside":
        members["../../../outside/secret.png"] = b"x"
    with zipfile.ZipFile(path, "w", packing, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Duplicate name")
        for member, data in members.items():
            with archive.open(member, "w", force_zip64=True) as file:
                file.write(data)
                for _ in range(700 if what == "unpacks to much" and member == name else 0):
                    file.write(MEGABYTE)
        if what == "twice":
            archive.writestr(name, members[name])
    return f"archive: {what}"


PNG: tuple[Damage, ...] = (png, disguised)
JPEG: tuple[Damage, ...] = (exif, exif, exif, disguised)
CHECKPOINT: tuple[Damage, ...] = (
    checkpoint_code,
    checkpoint_values,
    checkpoint_values,
    checkpoint_values,
    checkpoint_archive,
)
