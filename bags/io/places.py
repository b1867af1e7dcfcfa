"""Files and folders named on the command line: checked before torch loads, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from bags.errors import DataError, SettingError


def scene_folder(root: str | None) -> Path:
    """``dataset.root``, if it is a folder.

    Raises:
        DataError: it is not.
    """
    folder = Path(root or "")
    if not folder.is_dir():
        remedy = "set dataset.root to the scene's folder (or paths.data to its parent)"
        raise DataError(f"{folder}: no such folder; {remedy}")
    return folder


def photos_or_video(source: str | Path | None) -> Path:
    """``source``, if there is such a folder or file.

    Raises:
        SettingError: none is given.
        DataError: it does not exist.
    """
    if not source:
        raise SettingError("source", source, "give a folder of photos or a video: source=/path/to/photos")
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path}: no such folder or file; source= takes a folder of photos or a video")
    return path
