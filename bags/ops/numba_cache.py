"""``njit`` for our kernels: Numba's own, with a cache that all checkouts of a user share.

Numba caches compiled code beside the source or, per path of the source, in the home folder. It tracks only the text of
the kernel's own file, and fails if neither place is writable. Here the cache key is everything the code depends on: the
text of the kernel's file and of all files of this package that it imports, the versions of Numba and LLVM, and the
processor. If nothing can be written, or a cache file is damaged, kernels are compiled again: the cache never stops a
run.
"""

# mypy: disallow-untyped-defs=False, disallow-subclassing-any=False

from __future__ import annotations

import ast
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
from filelock import FileLock
from numba.core import caching, event

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[1]
KEPT = 90 * 86400  # seconds after which code compiled for another version or processor is removed


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` with its options; ``cache=True`` uses this module's cache."""
    keep = options.pop("cache", False)

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if keep and place() is not None:
            dispatcher._cache = _Cache(function)  # as Numba's own ``cache=True`` does with its own cache
        return dispatcher

    return compiled


@cache
def place() -> Path | None:
    """The folder of this user's compiled code; None if none of the candidates is writable.

    Candidates: ``NUMBA_CACHE_DIR``, the user's cache folder (``XDG_CACHE_HOME`` or ``~/.cache``), the folder for
    temporary files. Loading cached code executes it. So in all but the first, the folder must belong to the user and be
    writable by no one else.
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    candidates = [named] if named else []
    candidates += [os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")]
    with suppress(OSError):
        candidates.append(tempfile.gettempdir())
    for parent in candidates:
        folder = Path(parent, f"bags-{_user()}")
        with suppress(OSError):
            if os.path.isabs(parent) or parent == named:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
                if parent == named or _private(folder):
                    return folder
    return None


def _user() -> int:
    """The user's id; 0 on Windows, where these folders are per user anyway."""
    return os.getuid() if hasattr(os, "getuid") else 0


def _private(folder: Path) -> bool:
    found = folder.lstat()
    return not hasattr(os, "getuid") or (found.st_uid == _user() and not found.st_mode & 0o022)


def digest(path: Path) -> str:
    """Hash of everything that code compiled from the file ``path`` depends on, in 16 hexadecimal digits."""
    told = {key: value for key, value in os.environ.items() if key.startswith("NUMBA_") and key != "NUMBA_CACHE_DIR"}
    processor = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()
    facts = [numba.__version__, llvmlite.__version__, sys.version, *processor, *map(str, sorted(told.items()))]
    text = hashlib.sha256("\n".join(facts).encode())
    for source in sorted(_with_imports(path)):
        text.update(source.name.encode() + source.read_bytes())
    return text.hexdigest()[:16]


def _with_imports(path: Path) -> set[Path]:
    """A source file and all files of this package that it imports, directly or indirectly."""
    seen, left = set(), [path.resolve()]
    while left:
        source = left.pop()
        if source not in seen:
            seen.add(source)
            left += _imported(source)
    return seen


@cache
def _imported(source: Path) -> frozenset[Path]:
    """The files of this package that a source file imports from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(file for name in names if (file := _file(name)))


def _file(name: str) -> Path | None:
    """File of the module ``name``; None if it is not part of this package."""
    package, *parts = name.split(".")
    if package != PACKAGE.name:
        return None
    whole = PACKAGE.joinpath(*parts)
    return next((file for file in (whole.with_suffix(".py"), whole / "__init__.py") if file.is_file()), None)


@cache
def folder_of(path: Path) -> Path:
    """Folder for code compiled from the file ``path``; when it is created, outdated folders are removed."""
    root = place()
    assert root is not None
    folder = root / f"{path.stem}-{digest(path)}"
    if not folder.is_dir():
        for other in root.iterdir():
            with suppress(OSError):
                if time.time() - other.stat().st_mtime > KEPT:
                    shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    return folder


class _Locator(caching._CacheLocator):
    """Tells Numba where the cache is. Its content always fits the source, because the path contains the hash."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file, self.line = file, function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)

    def ensure_cache_path(self):
        pass

    def get_cache_path(self):
        return str(folder_of(Path(self._py_file)))

    def get_source_stamp(self):
        return self.get_cache_path()

    def get_disambiguator(self):
        return str(self.line)


class _Implementation(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012


class _Cache(caching.FunctionCache):
    """Numba's cache of one function; failures to read or write it are not errors."""

    _impl_class = _Implementation

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever reading a damaged file may raise
            log.warning("%s: unusable cache (%s); compiling again", self.cache_path, type(error).__name__)
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        # One process at a time: two that add to one index would use the same file name for different code.
        with suppress(OSError), FileLock(Path(self.cache_path, ".lock")):
            super().save_overload(sig, data)


class _Announcer(event.Listener):
    """Logs once that kernels are being compiled, which the first run waits for."""

    announced = False

    def on_start(self, event):
        if not self.announced:
            self.announced = True
            kept = "once" if place() else "in every run, as no cache folder is writable; set NUMBA_CACHE_DIR to one"
            log.info("compiling kernels for this processor, %s (about 20 s)", kept)

    def on_end(self, event):
        pass


event.register("numba:compile", _Announcer())
