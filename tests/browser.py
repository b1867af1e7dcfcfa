"""Chromium without a screen, driven by selenium: where it is, whether it can be had, a session of it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.waiting import HANG

FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
         "--no-proxy-server", "--disable-background-networking")  # fmt: skip


def programs() -> tuple[str | None, str | None]:
    """Chromium and its driver on the PATH; None for what is not there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")


def major(program: str) -> str | None:
    """The major version that a program says it is of; None where it does not, as an installer's stub."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"(\d+)\.\d", said.stdout)
    return number[1] if number and said.returncode == 0 else None


def why_none() -> str:
    """Why there is no browser to test with; empty where there is one, whose sessions have to begin."""
    chromium, driver = programs()
    if not chromium or not driver:
        return "no Chromium with its driver (apt-get install chromium chromium-driver)"
    ours, its = major(chromium), major(driver)
    if not ours or not its:
        return f"{driver if ours else chromium} --version fails"
    return "" if ours == its else f"{chromium} is of version {ours}, {driver} of {its}"


WHY_NONE = why_none()  # asked once for all tests
needs_browser = pytest.mark.skipif(bool(WHY_NONE), reason=WHY_NONE)


def start(*flags: str) -> webdriver.Chrome:
    """A session that ends with its `with` block. The driver gives it a profile of its own, removed at the end."""
    chromium, driver = programs()
    assert chromium and driver
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.timeouts = {"pageLoad": int(1000 * HANG)}
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    # A path, so that selenium looks for no driver; no proxy is in the environment (tests.surroundings).
    return webdriver.Chrome(options, Service(driver))
