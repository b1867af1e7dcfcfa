"""Text models as scripts, editors and other tools write them."""

from __future__ import annotations

import re
import shutil

import pytest

from bags.datamodules.parsers.colmap import parse_colmap
from bags.datamodules.parsers.colmap_files import FILES, read_model
from bags.errors import DataError
from bags.settings import DatasetSettings


@pytest.fixture
def model(colmap_scene):
    return colmap_scene(text=True, names=("b.png", "a c.png", "d.png"), points=4) / "sparse/0"


def changed(folder, change, names=FILES):
    for name in names:
        path = folder / f"{name}.txt"
        path.write_bytes(change(path.read_bytes()))
    return folder


def without_head(data: bytes) -> bytes:
    return b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"#"))


CHANGES = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "mark": lambda data: b"\xef\xbb\xbf" + data,
    "mark, no head": lambda data: b"\xef\xbb\xbf" + without_head(data),
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "tabs": lambda data: data.replace(b" ", b"\t").replace(b"a\tc", b"a c"),
    "no end": lambda data: data.rstrip(),
    "none empty": lambda data: re.sub(rb"\n\n", b"\n", data),
    "small letters": lambda data: data.replace(b"PINHOLE", b"pinhole"),
}


def test_said_in_another_way(model, tmp_path, subtests):
    plain = read_model(model)
    for number, (way, change) in enumerate(CHANGES.items()):
        with subtests.test(way):
            read = read_model(changed(shutil.copytree(model, tmp_path / str(number)), change))
            assert (read.cameras, read.images) == (plain.cameras, plain.images) and len(read.images) == 3
            assert (read.xyz == plain.xyz).all() and (read.rgb == plain.rgb).all()


def test_one_line_a_photo(model):
    plain = read_model(model)

    def without_observations(data):
        return b"".join(line for line in data.splitlines(keepends=True) if b".png" in line)

    assert read_model(changed(model, without_observations, ["images"])).images == plain.images


def test_what_pycolmap_would_read_as_something_else(model, subtests):
    for name, old, new, message in (
        ("images", r"# Number of images: 3", "# Number of images: 5", r"header states 5 images, but there are 3"),
        ("cameras", r"# Number of cameras: 1", "# Number of cameras: 2", r"header states 2 cameras, but there are 1"),
        ("points3D", r"# Number of points: 4", "# Number of points: 3", r"header states 3 points3D, but there are 4"),
        ("images", r"\n[^\n#]*d\.png\n", "\n1.5 2.5 -1\n1.5 2.5 -1\n", r"line \d+: observations without the photo"),
        ("images", r"(d\.png\n).*", r"\g<1>1.5 2.5\n", r"line \d+: '1\.5 2\.5' is malformed.*IMAGE_ID QW"),
        ("images", r"(d\.png\n).*", r"\g<1>1.5 2.5 x\n", r"line \d+: '1\.5 2\.5 x' is malformed"),
        ("images", r"(d\.png\n).*", r"\g<1>1.5 2.5 0.5\n", r"line \d+: '1\.5 2\.5 0\.5' is malformed"),
        ("images", r"3 (\S+)\.(\S+ [^\n]*d\.png)", r"3 \1,\2", r"line \d+: '3 \S+,.*is malformed"),
        ("images", r"\n3 ([^\n]*d\.png)", r"\n1 \1", r"line \d+: number 1 is used twice"),
        ("cameras", r"48 32", r"48 3_2", r"line \d+: '1 PINHOLE 48 3_2.* is malformed"),
        ("points3D", r"\n2 (\S+ \S+ \S+) \S+", r"\n2 \1 300", r"line \d+: .* is malformed"),
        ("points3D", r"\n2 (\S+ \S+ \S+) \S+", r"\n2 \1 0.5", r"line \d+: .* is malformed"),
    ):
        path = model / f"{name}.txt"
        intact = path.read_text()
        with subtests.test(old, new=new):
            text, count = re.subn(old, new, intact, count=1, flags=re.DOTALL)
            assert count == 1
            path.write_text(text)
            with pytest.raises(DataError, match=rf"{name}\.txt: not a complete COLMAP file \(.*{message}"):
                read_model(model)
        path.write_text(intact)


def test_names_in_a_western_code_page(model):
    changed(model, lambda data: data.replace(b"d.png", "Küche.png".encode("cp1252")), ["images"])
    assert sorted(image.name for image in read_model(model).images) == ["Küche.png", "a c.png", "b.png"]


def test_binary_names_in_a_western_code_page(colmap_scene):
    path = colmap_scene(names=("Kuxxche.png", "b.png")) / "sparse/0/images.bin"
    path.write_bytes(path.read_bytes().replace(b"Kuxxche", b"K\xfc" + b"xxche"[:5]))
    assert sorted(image.name for image in read_model(path.parent).images) == ["Küxxche.png", "b.png"]


def test_undecodable_names_are_refused(colmap_scene):
    root = colmap_scene(text=True, names=("b.png", "d.png"))
    changed(root / "sparse/0", lambda data: data.replace(b"d.png", b"d\x81\xad.png"), ["images"])
    with pytest.raises(DataError, match="not a safe file name"):
        parse_colmap(DatasetSettings(parser="colmap", root=str(root)))
