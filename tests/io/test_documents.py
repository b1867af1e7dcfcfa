from __future__ import annotations

import os
from pathlib import Path

import pytest

from bags.errors import DataError
from bags.io.documents import LARGEST, LARGEST_YAML, read_json, read_text, read_yaml


def test_contents_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"a": [1, {"b": null}]}')  # as some programs begin their files
    (tmp_path / "a.yaml").write_text("a: [1, {b: null}]\n")
    assert read_json(tmp_path / "a.json") == read_yaml(tmp_path / "a.yaml") == {"a": [1, {"b": None}]}


def test_encodings_that_are_marked(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        mark = "\ufeff" if encoding == "utf-16-le" else ""
        (tmp_path / "a.json").write_bytes(f'{mark}{{"a": "ü"}}\r\n'.encode(encoding))
        assert read_json(tmp_path / "a.json") == {"a": "ü"}, encoding


def test_input_that_is_not_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"\xe4")
    for name in ("pipe", "loop", "endless", "folder", "latin", "missing"):
        with pytest.raises(DataError, match=f"{name}: (no such file|cannot be read as text)"):
            read_text(tmp_path / name)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    for read, largest in ((read_json, LARGEST), (read_yaml, LARGEST_YAML)):
        os.truncate(path, largest + 1)
        with pytest.raises(DataError, match=f"large: more than {largest:,} bytes"):
            read(path)


REFUSED = (
    "a: &a [1]\nb: *a\n", "a: &a [*a]\n", "a: &a {b: 1}\n<<: *a\n",
    "a: !!python/object/apply:os.system [true]\n", "a: !!binary aGFsbG8=\n", "a: !!str 1\n", "a: !mine b\n",
    "a: " + "[" * 5000 + "]" * 5000, "a: 1\na: 1\n", "a: {b: 1, c: 2, b: 3}\n",
    "a: ${oc.env:HOME}\n", "a: [1, 'x${b}']\nb: 1\n", "${a}: 1\n",
    "a: 2020-99-99\n", "a: 1\n---\nb: 2\n", "- 1\n", "1: 2\n", "",
)  # fmt: skip


def test_yaml_that_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "config.yaml"
    for text in REFUSED:
        path.write_text(text)
        message = r"config\.yaml: (cannot be read as YAML|contains a)"
        with subtests.test(text[:40]), pytest.raises(DataError, match=message):
            read_yaml(path)


def test_a_key_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    """Counting each key's occurrences one by one took minutes."""
    path = tmp_path / "a.json"
    path.write_text("{" + "".join(f'"{i}": 0, ' for i in range(200_000)) + '"last": 1, "last": 2}')
    with pytest.raises(DataError, match="'last' is given twice"):
        read_json(path)
