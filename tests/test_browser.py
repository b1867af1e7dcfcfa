"""Browser tests are skipped where there is no browser to be had, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException

from tests.browser import start, why_none

SAYS = "echo {} 156.0.8078.79 built on Debian"
STUB = "echo 'requires the chromium snap to be installed, 1.0' >&2; exit 1"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, **scripts: str) -> None:
    for name, script in scripts.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.mark.parametrize("name", ["chromium", "chromium_browser", "google_chrome"])
def test_one_that_fits_its_driver(name: str, installed: Path) -> None:
    install(installed, **{name: "echo noise 1.2 >&2; " + SAYS.format("Chromium")}, chromedriver=SAYS.format("Driver"))
    assert why_none() == ""


@pytest.mark.parametrize("name", ["chromium", "chromedriver"])
def test_only_one_of_the_two(name: str, installed: Path) -> None:
    install(installed, **{name: SAYS.format("One")})
    assert why_none().startswith("no Chromium with its driver")


@pytest.mark.parametrize("name", ["chromium", "chromedriver"])
@pytest.mark.parametrize("script", [STUB, SAYS.format("One") + "; exit 1", "echo please install me"])
def test_a_stub_of_an_installer(name: str, script: str, installed: Path) -> None:
    fine = SAYS.format("One")
    install(installed, **{"chromium": fine, "chromedriver": fine, name: script})
    assert why_none() == f"{installed / name} --version fails"


def test_file_that_is_not_executable(installed: Path) -> None:
    install(installed, chromium="", chromedriver=SAYS.format("Driver"))
    (installed / "chromium").write_bytes(b"\x7fELF")
    assert why_none() == f"{installed / 'chromium'} --version fails"


def test_versions_that_differ(installed: Path) -> None:
    install(installed, chromium=SAYS.format("Chromium"), chromedriver="echo ChromeDriver 155.0.8078.79")
    assert why_none() == f"{installed / 'chromium'} is of version 156, {installed / 'chromedriver'} of 155"


def test_session_that_cannot_start_fails(installed: Path) -> None:
    dies = '[ "$1" = --version ] || exit 3; ' + SAYS.format("Driver")
    install(installed, chromium=SAYS.format("Chromium"), chromedriver=dies)
    assert why_none() == ""
    with pytest.raises(WebDriverException, match=r"exited.* 3"):
        start()
