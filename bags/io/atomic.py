"""Files that are written whole or not at all."""

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
# What the disk, not the program, is to blame for: no room, no more quota, too large, broken; read-only or not ours; a
# file where a folder should be, or a folder or a link in the file's place.
TROUBLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR,
    errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip


class WriteError(BagsError):
    """A file that could not be written to disk."""


@contextmanager
def replacing(path: str | Path, earlier: str | Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well.

    A reader never sees half a file, and an interrupted writer leaves the old one. Missing folders are made. The
    temporary file is locked while its writer lives, so that ``sweep`` can tell those that a killed writer left.

    Args:
        path: the file to write; the temporary one has the same suffix.
        earlier: the file that was at ``path`` is kept under this name, in the same file system. Killed between the two
            renames, ``path`` is missing and ``earlier`` there.
        durable: the file, then the folder with its name, have reached the disk when this returns: a power cut leaves
            the old file or the new one, never an empty one.

    Raises:
        WriteError: no room, or no permission.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}{MARK}", suffix=path.suffix)
        temporary = Path(name)
        try:
            if WINDOWS:  # what is open there is neither renamed nor, locked, written to by others
                os.close(handle)
            else:
                locked(handle)
            yield temporary
            umask = os.umask(0)  # mkstemp makes private files; others are made as the umask says
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
    """Turns disk errors in the block, also those wrapped by a library, into one line that names ``path``.

    An error at another place is not changed: only its own message says where.

    Raises:
        WriteError: ``path``, or what is in it, above it or beside it, could not be written.
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
            "make room or choose another place with output_root= (a prepared scene's: dataset.root=)"
        ) from error


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files of killed writers in ``folder`` and below; those of living processes stay.

    Where there are no locks, and on Windows, all stay.

    Returns:
        The files removed.
    """
    gone: list[Path] = []
    if WINDOWS:
        return gone
    for path in folder.rglob(f".*{MARK}*"):
        try:
            # For writing: NFS locks no other files. A pipe would wait for its writer.
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # its writer has just finished; a link; not ours
            continue
        try:
            if stat.S_ISREG(os.fstat(handle).st_mode) and locked(handle):
                path.unlink(missing_ok=True)
                gone.append(path)
        except OSError:  # not ours
            continue
        finally:
            os.close(handle)
    return gone


def _refusal(error: BaseException | None, path: Path) -> OSError | None:
    """The disk error at ``path`` in a chain of errors (torch, for one, raises an error of its own after it)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in TROUBLE and _concerns(_place(error), path):
            return error
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return None


def _place(error: OSError) -> Path | None:
    """The file that ``error`` names; None: no name, as when an open one takes no more."""
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else None


def _concerns(place: Path | None, path: Path) -> bool:
    """Is ``place`` in ``path``, above it, or beside it, as temporary files are? Without a place, assume so."""
    if place is None:
        return True
    place, path = Path(os.path.abspath(place)), Path(os.path.abspath(path))
    return place.is_relative_to(path) or path.is_relative_to(place) or place.parent == path.parent


def _flush(path: Path) -> None:
    if WINDOWS and path.is_dir():  # cannot be opened there
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
