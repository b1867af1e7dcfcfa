"""Atomic writing of files: completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bags.errors import BagsError
from bags.system.locks import locked

WINDOWS = os.name == "nt"
MARK = ".part-"  # in the name of every file that is being written
# Errors of the disk rather than the program: full, over quota, file too large, I/O error; read-only, no permission; a
# file where a folder should be, or a folder or a link where the file should be.
TROUBLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR,
    errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip


class WriteError(BagsError):
    """A file that could not be written to disk."""


@contextmanager
def replacing(path: str | Path, earlier: str | Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that replaces it when the block ends without an error.

    A reader never sees an incomplete file, and an interrupted writer leaves the old one. Missing folders are created.
    The temporary file is locked while its writer runs, so that ``sweep`` recognises the files of killed writers.

    Args:
        path: the file to write; the temporary one has the same suffix.
        earlier: the old file at ``path`` is kept under this name, in the same file system. If the process is killed
            between the two renames, ``path`` is missing and ``earlier`` exists.
        durable: flush the file, and then its folder, to disk before returning: a power failure leaves the old file or
            the new one, never an empty one.

    Raises:
        WriteError: the disk is full, or there is no permission.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}{MARK}", suffix=path.suffix)
        temporary = Path(name)
        try:
            if WINDOWS:  # open files cannot be renamed there, nor can others write to locked ones
                os.close(handle)
            else:
                locked(handle)
            yield temporary
            umask = os.umask(0)  # mkstemp creates private files; apply the umask as for other files
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            if durable:
                _flush(temporary)
            if earlier is not None and path.exists():
                os.replace(path, earlier)
            os.replace(temporary, path)
            if durable:
                _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
            if not WINDOWS:
                os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns disk errors in the block, including those wrapped by a library, into one line that names ``path``.

    Errors at unrelated places are not changed, because their own message says where they happened.

    Raises:
        WriteError: ``path``, or something in it, above it or beside it, could not be written.
    """
    try:
        yield
    except Exception as error:
        refusal = _refusal(error, path)
        if refusal is None or isinstance(error, BagsError):
            raise
        place = _place(refusal)
        where = f" ({place})" if place not in (None, path) else ""
        raise WriteError(
            f"cannot write {path}: {refusal.strerror}{where}; "
            "free some space, or choose another folder with output_root= (for a prepared scene: dataset.root=)"
        ) from error


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files of killed writers in ``folder`` and below; those of running processes stay.

    Without file locks, and on Windows, all stay.

    Returns:
        The removed files.
    """
    gone: list[Path] = []
    if WINDOWS:
        return gone
    for path in folder.rglob(f".*{MARK}*"):
        try:
            # Opened for writing, because NFS locks only such files; non-blocking, because a pipe would wait.
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # its writer has just finished, or it is a link or belongs to someone else
            continue
        try:
            if stat.S_ISREG(os.fstat(handle).st_mode) and locked(handle):
                path.unlink(missing_ok=True)
                gone.append(path)
        except OSError:  # it belongs to someone else
            continue
        finally:
            os.close(handle)
    return gone


def _refusal(error: BaseException | None, path: Path) -> OSError | None:
    """The disk error at ``path`` in a chain of errors (torch, for example, raises another error after it)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in TROUBLE and _concerns(_place(error), path):
            return error
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return None


def _place(error: OSError) -> Path | None:
    """The file that ``error`` names; None if it names none, as when writing to an open file fails."""
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else None


def _concerns(place: Path | None, path: Path) -> bool:
    """Whether ``place`` is in ``path``, above it, or beside it like a temporary file. None counts as yes."""
    if place is None:
        return True
    place, path = Path(os.path.abspath(place)), Path(os.path.abspath(path))
    return place.is_relative_to(path) or path.is_relative_to(place) or place.parent == path.parent


def _flush(path: Path) -> None:
    if WINDOWS and path.is_dir():  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
