"""Compiled kernels are found again by every checkout, never by another processor, and never end a run."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bags.ops import numba_cache

KERNEL = """
from bags.ops.numba_cache import njit

@njit(cache=True, nogil=True)
def double(values):
    for i in range(len(values)):
        values[i] *= 2
"""


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Nothing that was found out before the test counts in it, nor after it what the test has seen."""
    found = numba_cache.place, numba_cache.folder_of, numba_cache._imported
    for known in found:
        known.cache_clear()
    yield
    for known in found:
        known.cache_clear()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def checkout(folder: Path, text: str = KERNEL) -> Any:
    """The kernel of a checkout of its own."""
    folder.mkdir()
    (folder / "double.py").write_text(text)
    spec = importlib.util.spec_from_file_location("double", folder / "double.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


def doubles(kernel: Any) -> bool:
    values = np.arange(4.0)
    kernel(values)
    return values.tolist() == [0, 2, 4, 6]


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


def test_another_checkout_finds_the_code(kept: Path, tmp_path: Path) -> None:
    first, second = checkout(tmp_path / "a"), checkout(tmp_path / "b")
    assert doubles(first) and hits(first) == 0
    assert doubles(second) and hits(second) == 1
    other = checkout(tmp_path / "c", KERNEL + "# another text\n")
    assert doubles(other) and hits(other) == 0
    assert {path.parents[2] for path in tmp_path.rglob("*.nbc")} == {kept}


@pytest.mark.parametrize(("name", "value"), [("NUMBA_CPU_NAME", "haswell"), ("NUMBA_OPT", "1")])
def test_code_is_for_one_processor_and_one_way_to_compile(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    monkeypatch.delenv(name, raising=False)
    here = numba_cache.digest(tmp_path / "kernel.py")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    another = numba_cache.digest(tmp_path / "kernel.py")
    monkeypatch.setenv(name, value)
    assert len({here, another, numba_cache.digest(tmp_path / "kernel.py")}) == 3


def test_code_depends_on_what_the_file_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of ours is compiled into the kernel, wherever it stands."""
    monkeypatch.setattr(numba_cache, "PACKAGE", tmp_path / "bags")
    (tmp_path / "bags/deep").mkdir(parents=True)
    for name, text in {"deep/__init__": "", "deep/sizes": "TILE = 16", "base": "from bags.deep import sizes"}.items():
        (tmp_path / f"bags/{name}.py").write_text(text)
    (tmp_path / "kernel.py").write_text("from math import pi\nfrom bags.base import sizes")
    assert {path.stem for path in numba_cache._with_imports(tmp_path / "kernel.py")} == {
        "kernel", "base", "sizes", "__init__",
    }  # fmt: skip
    before = numba_cache.digest(tmp_path / "kernel.py")
    (tmp_path / "bags/deep/sizes.py").write_text("TILE = 32")
    assert numba_cache.digest(tmp_path / "kernel.py") != before


def test_a_damaged_file_is_compiled_anew(kept: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert doubles(checkout(tmp_path / "a"))
    for path in [*kept.rglob("*.nbc"), *kept.rglob("*.nbi")]:
        path.write_bytes(path.read_bytes()[:40])
    again = checkout(tmp_path / "b")
    assert doubles(again) and hits(again) == 0 and "compiling again" in caplog.text
    after = checkout(tmp_path / "c")
    assert doubles(after) and hits(after) == 1


def test_a_folder_that_is_gone_ends_nothing(kept: Path, tmp_path: Path) -> None:
    kernel = checkout(tmp_path / "a")
    numba_cache.folder_of(tmp_path / "a/double.py").rmdir()
    assert doubles(kernel)


def test_without_a_home_the_temporary_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert numba_cache.place() == tmp_path / f"bags-{os.getuid()}"


def test_world_writable_cache_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "linked"))
    (tmp_path / f"shared/bags-{os.getuid()}").mkdir(parents=True)
    (tmp_path / f"shared/bags-{os.getuid()}").chmod(0o777)
    (tmp_path / "linked").mkdir()
    (tmp_path / f"linked/bags-{os.getuid()}").symlink_to(tmp_path)
    assert numba_cache.place() is None


def test_with_no_place_at_all_kernels_are_compiled_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/none")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/proc/none")

    def nowhere() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert numba_cache.place() is None
    kernel = checkout(tmp_path / "a")
    assert doubles(kernel) and not list(tmp_path.rglob("*.nbc"))


def test_old_code_is_removed(kept: Path, tmp_path: Path) -> None:
    root = numba_cache.place()
    assert root is not None
    for name, age in (("old", numba_cache.KEPT + 100), ("young", 100)):
        (root / name).mkdir()
        os.utime(root / name, (0, (root / name).stat().st_mtime - age))
    checkout(tmp_path / "a")
    assert (root / "young").is_dir() and not (root / "old").exists()


def test_compilation_is_announced_once(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    announcer = numba_cache._Announcer()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            announcer.on_start(None)
    assert caplog.messages == ["compiling kernels for this processor, once (about 20 s)"]


def test_all_kernels_are_kept_this_way() -> None:
    files = [path for path in numba_cache.PACKAGE.rglob("*.py") if path.stem != "numba_cache"]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert "from bags.ops.numba_cache import njit" in texts["numba_raster.py"]
    others = [name for name, text in texts.items() if "numba.njit" in text or "numba import njit" in text]
    assert not others
