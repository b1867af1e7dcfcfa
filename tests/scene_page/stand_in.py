"""Packages that stand in for those of npm, where nothing has to be drawn."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bags.scene_page import client


def pack(package: client.Package, path: Path) -> client.Package:
    """An archive at ``path`` with the files of ``package``, each with its name in it; the package with its digest."""
    with tarfile.open(path, "w:gz") as archive:
        for name in ("LICENSE", *package.modules.values()):
            text = f"// {name} of {package.name} </script>".encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return replace(package, digest=client._digest(path))


def stand_in_client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page carry these packages, kept in ``folder``."""
    monkeypatch.setenv(client.FOLDER, str(folder))
    monkeypatch.setattr(client, "PACKAGES", tuple(pack(package, folder / package.file) for package in client.PACKAGES))
