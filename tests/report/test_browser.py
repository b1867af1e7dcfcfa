"""The report in a real browser: by keyboard, at a desktop's and a phone's width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import needs_browser, start
from tests.report.folder import HOSTILE, made_up

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with start("--disable-gpu") as session:
        yield session


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bags.report import write_report

    folder = tmp_path_factory.mktemp("run")
    metrics, settings = made_up(folder, [HOSTILE, "b" * 120 + ".png", "c.png"])
    write_report(folder, metrics, settings)
    return folder / "report.html"


def opened(browser: Chrome, report: Path, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(report.as_uri())


@pytest.mark.parametrize("width", [1280, 360])
def test_page_has_no_overflow_and_no_errors(width: int, browser: Chrome, report: Path) -> None:
    opened(browser, report, width)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.execute_script(
        "return performance.getEntriesByType('resource').every(e => e.name.startsWith('data:'))"
    )
    assert browser.get_log("browser") == []  # no error, nothing that the page's policy had to block
    words = "return document.querySelector('.scroll tbody td:nth-child(3)').getBoundingClientRect().right <= innerWidth"
    assert browser.execute_script(words)
    lines = """
      const row = document.querySelector('.scroll tbody').rows[2];
      return row.offsetHeight / parseFloat(getComputedStyle(row.cells[2]).lineHeight);
    """
    assert browser.execute_script(lines) < 5  # in any font; a word a line would be seven


def test_by_keyboard(browser: Chrome, report: Path) -> None:
    opened(browser, report, 1280)
    divider = browser.find_element(By.CSS_SELECTOR, ".compare input")
    split = "return document.querySelector('.pair').style.getPropertyValue('--split')"
    assert browser.execute_script(split) == "50%"
    divider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.execute_script(split) == "52%"
    divider.send_keys(Keys.HOME)
    assert browser.execute_script(split) == "0%"
    shown = "return [...document.querySelectorAll('#view-1 img')].map(i => i.offsetHeight > 0)"
    assert browser.execute_script(shown) == [True] + [False] * 5
    browser.find_element(By.CSS_SELECTOR, "#view-1 input").send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script(shown) == [False, True] + [False] * 4


def test_by_pointer(browser: Chrome, report: Path) -> None:
    opened(browser, report, 360)
    pair = browser.find_element(By.CSS_SELECTOR, ".pair")
    browser.execute_script("arguments[0].scrollIntoView()", pair)
    quarter = pair.size["width"] // 4
    ActionChains(browser).move_to_element(pair).click_and_hold().move_by_offset(-quarter, 0).release().perform()
    value = int(browser.execute_script("return document.querySelector('.compare input').value"))
    assert 23 <= value <= 27
    browser.find_elements(By.CSS_SELECTOR, "#view-2 label")[4].click()
    assert browser.execute_script("return document.querySelectorAll('#view-2 img')[4].offsetHeight") > 0


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(dark: bool, browser: Chrome, report: Path) -> None:
    """WCAG 2.1 AA: 4.5 to 1 for every colour of text on the ground that it stands on."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    opened(browser, report, 1280)
    contrast = """
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255).map(
        (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (e) => { const c = getComputedStyle(e).backgroundColor;
        return c === "rgba(0, 0, 0, 0)" ? ground(e.parentElement) : c; };
      const texts = document.body.querySelectorAll("h1, h2, h3, p, dt, dd, td, th, a, span, summary");
      return Math.min(...[...texts].map((e) => {
        const pair = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a);
        return (pair[0] + 0.05) / (pair[1] + 0.05); }));
    """
    assert browser.execute_script(contrast) >= 4.5
