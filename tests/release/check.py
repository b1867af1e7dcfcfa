"""``make release-check``: builds sdist and wheel, checks them, and trains with the wheel in a new environment.

Needs the package registry; takes minutes. Nothing of the checkout is on the new environment's path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

import bags

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
NAME = "bags-splatting"
IN_SDIST = (
    "pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "conf/config.yaml", "tests/test_licences.py",
    "examples/01_train_from_python.py",
)  # fmt: skip


def build() -> tuple[Path, Path]:
    """The sdist and, from it, the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)], check=True)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def check(sdist: Path, wheel: Path) -> None:
    """What the files say of themselves, and hold."""
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        found = Metadata.from_email(opened.read(about), validate=True)
    assert (found.name, str(found.version)) == (NAME, bags.__version__), (found.name, found.version)
    assert found.license_expression == "Apache-2.0" and found.description_content_type == "text/markdown"
    assert any(name.endswith("licenses/LICENSE") for name in names) and "bags/conf/config.yaml" in names
    with tarfile.open(sdist) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert set(IN_SDIST) <= inside, sorted(set(IN_SDIST) - inside)


def use(wheel: Path) -> None:
    """Install it where nothing is installed, and train."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        venv.create(place / "env", with_pip=True)
        scripts = place / "env" / ("Scripts" if os.name == "nt" else "bin")
        constraint = ["--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *constraint, wheel], check=True)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        words = ["scene=tiny", "schedule.steps=20"]
        subprocess.run([scripts / "bags", *words], cwd=place, env=environment, check=True)
        metrics = json.loads((place / "outputs/tiny/metrics.json").read_text(encoding="utf-8"))
        assert metrics["steps"] == 20 and metrics["versions"]["bags"] == bags.__version__


if __name__ == "__main__":
    files = build()
    check(*files)
    use(files[1])
    print(f"{', '.join(path.name for path in files)}: built, checked, installed and used")
