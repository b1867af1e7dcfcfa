"""The JavaScript that draws Gaussians in a browser: three.js and Spark, fetched from npm once and cached."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bags.errors import BagsError, to_install
from bags.io.atomic import replacing

PATIENCE = 300  # seconds that a download may take
FOLDER = "BAGS_PAGE_CLIENT"  # environment variable: another folder for the packages


@dataclass(frozen=True)
class Package:
    """An npm package. Version and digest (SHA-512, base64) are fixed, so the page runs exactly what was tested.

    Attributes:
        modules: import names in JavaScript, and their files in the package.
    """

    name: str
    version: str
    digest: str
    modules: dict[str, str]

    @property
    def file(self) -> str:
        """File name that ``npm pack`` gives its archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "three",
        "0.187.0",
        "Qiu7R+Cmh8CstZsY1uJOSWnVlfo7ZtNLV7mF8Jltk3LB3AtDu9cRZlcnRKkAk8Y4z6KKw35z7Y7Urd7jWY8etA==",
        {
            "three": "build/three.module.js",
            "three/core": "build/three.core.js",
            "three/addons/controls/OrbitControls.js": "examples/jsm/controls/OrbitControls.js",
            "three/addons/postprocessing/Pass.js": "examples/jsm/postprocessing/Pass.js",
        },
    ),
    Package(
        "@sparkjsdev/spark",
        "2.2.0",
        "wf5F2YAmPXnjm20/MgXYer9FQTXz2JOCo05HwxFkaD7Guk9rHVPIwdJ6fq0oF9ME0heMvYj+TxS6DTrucvy6KA==",
        {"@sparkjsdev/spark": "dist/spark.module.min.js"},
    ),
)


def client() -> tuple[str, str]:
    """The modules as base64 of gzipped JSON (name to source), and the text of their licences.

    Raises:
        BagsError: as ``fetched``.
    """
    modules: dict[str, str] = {}
    licences = []
    for package, path in zip(PACKAGES, fetched(), strict=True):
        with tarfile.open(path) as archive:
            licences.append(f"{package.name} {package.version}\n\n{_text(archive, 'LICENSE')}")
            modules |= {name: _text(archive, file) for name, file in package.modules.items()}
    # It gets an import name of its own, because there are no relative paths in the page.
    modules["three"] = modules["three"].replace("./three.core.js", "three/core")
    packed = gzip.compress(json.dumps(modules).encode(), mtime=0)
    return base64.b64encode(packed).decode("ascii"), "\n\n".join(licences)


def fetched() -> list[Path]:
    """The archives of ``PACKAGES``.

    Raises:
        BagsError: one is not cached, and npm or the network is missing.
    """
    return [kept(package) for package in PACKAGES]


def kept(package: Package) -> Path:
    """The package's archive in the cache; fetched with npm if it is not there."""
    path = folder() / package.file
    if not path.is_file() or _digest(path) != package.digest:
        _fetch(package, path)
    return path


def folder() -> Path:
    """The cache: ``BAGS_PAGE_CLIENT`` if set, else ``bags/page`` in the user's cache folder."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bags" / "page"


def _fetch(package: Package, path: Path) -> None:
    what = f"export.formats: html needs {package.name} {package.version}"
    beside = Path(sys.executable).parent  # where a virtual environment has its programs
    npm = shutil.which("npm", path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    if npm is None:
        raise BagsError(f"{what}, which npm fetches once, but there is no npm: {to_install('page')}, or leave html out")
    with tempfile.TemporaryDirectory(prefix="bags-page-") as scratch:
        command = [npm, "pack", "--ignore-scripts", "--silent", f"{package.name}@{package.version}"]
        try:
            subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=PATIENCE)
        except (OSError, subprocess.SubprocessError) as error:
            raise BagsError(
                f"{what}, which npm could not fetch: run this once with a network, or leave html out"
            ) from error
        found = Path(scratch, package.file)
        if not found.is_file() or _digest(found) != package.digest:
            raise BagsError(f"{what}, but what npm fetched has another SHA-512 than expected: leave html out")
        with replacing(path) as temporary:
            shutil.copyfile(found, temporary)


def _digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode("ascii")


def _text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(f"package/{name}")
    assert file is not None
    return file.read().decode("utf-8")
