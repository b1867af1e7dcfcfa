"""The installed wheel, used from another folder, equals the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_yaml(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"bags/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "bags").rglob("*.yaml")}
    expected |= {f"bags/scene_page/{name}" for name in ("scene.html", "style.css", "loader.js", "main.js")}
    expected |= {f"bags/report/{name}" for name in ("report.html", "style.css", "script.js")}
    assert {"bags/conf/config.yaml", "bags/summary/published.yaml"} <= expected <= names
    assert not any(name.startswith(("tests/", "conf/")) for name in names)


def test_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked into a folder of its own that comes before the checkout: the console script's entry point."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['bags', 'model=mip_splatting', '--cfg', 'job']\n"
        "import bags, bags.cli\n"
        f"assert bags.__file__.startswith({str(site)!r}), bags.__file__\n"
        "bags.cli.main()"
    )
    place = tmp_path / "elsewhere"
    place.mkdir()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=place, check=True)
    assert "name: mip_splatting" in result.stdout and "kernel_size: 0.1" in result.stdout
    assert list(place.iterdir()) == []
