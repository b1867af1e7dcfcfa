"""Locks on open files, which are released whenever the process that holds them ends."""

from __future__ import annotations

from filelock import lock_descriptor


def locked(handle: int) -> bool | None:
    """Lock an open file for as long as it stays open, without waiting.

    Args:
        handle: of a file that is open for writing (NFS locks only such files).

    Returns:
        True: it is locked; False: another process holds the lock; None: the file system has no locks.
    """
    try:
        return lock_descriptor(handle, blocking=False)
    except OSError:
        return None
