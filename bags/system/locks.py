"""Locks on open files: they go with the process that holds them, however it ends."""

from __future__ import annotations

from filelock import lock_descriptor


def locked(handle: int) -> bool | None:
    """Lock an open file for as long as it stays open, without waiting.

    Args:
        handle: of a file that is open for writing (NFS locks no other).

    Returns:
        False: another process holds it; None: there are no locks here (some file systems have none).
    """
    try:
        return lock_descriptor(handle, blocking=False)
    except OSError:
        return None
