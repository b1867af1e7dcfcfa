"""The page in a real browser without a network: what it draws, and how one moves in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from bags.errors import BagsError
from bags.ops.psnr import psnr
from bags.rendering import reference
from bags.rendering.base import TwoStageRasterizer
from bags.scene_page import Photo, scene_page
from bags.scene_page.client import fetched
from tests.browser import needs_browser, start
from tests.rendering.random_splats import random_camera, random_splats

pytestmark = needs_browser
PATIENCE = 60  # seconds for a frame to be drawn
FIRST = random_camera(120, 80)
CAMERAS = [replace(FIRST, translation=FIRST.translation + torch.tensor([x, 0.0, 0.0])) for x in (0.0, 0.4, -0.4)]
OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}


def splats():
    return random_splats(200, CAMERAS[0])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        fetched()
    except BagsError as error:
        pytest.skip(str(error))
    pictures = [("photo", Image.new("RGB", (120, 80), "lime")), ("predicted blur", Image.new("RGB", (120, 80), "blue"))]
    photos = [Photo(f"{name}.png", camera, pictures) for name, camera in zip("abc", CAMERAS, strict=True)]
    path = tmp_path_factory.mktemp("page") / "scene.html"
    path.write_text(scene_page("Somewhere", splats(), photos, [0.0, 0.0, 0.0], 0.1, False))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with start("--use-angle=swiftshader", "--enable-unsafe-swiftshader") as session:
        session.execute_cdp_cmd("Network.enable", {})
        session.execute_cdp_cmd("Network.emulateNetworkConditions", OFFLINE)
        yield session


def opened(browser: Chrome, page: Path, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    wait(browser, lambda b: b.execute_script("return document.body.dataset.ready"))


def picture(browser: Chrome) -> torch.Tensor:
    """(3, H, W) what the page shows."""
    pixels = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return torch.tensor(np.array(pixels)).permute(2, 0, 1) / 255


def wait(browser: Chrome, happened: Callable[[Chrome], object]) -> None:
    WebDriverWait(browser, PATIENCE).until(happened)


def press(browser: Chrome, key: str) -> None:
    ActionChains(browser).send_keys(key).perform()


def drawn_here(index: int, width: int, height: int) -> torch.Tensor:
    draw = TwoStageRasterizer(reference.project, reference.rasterize)
    camera = CAMERAS[index].resized(width, height)
    return draw(splats(), camera, sh_degree=3, background=torch.zeros(3), kernel_size=0.1).rgb.clamp(0, 1)


def nothing_but_the_scene(browser: Chrome) -> None:
    press(browser, "h")
    browser.execute_script("for (const id of ['frame', 'back']) document.getElementById(id).style.opacity = 0")


def test_it_shows_what_the_run_draws(browser: Chrome, page: Path) -> None:
    opened(browser, page, 240, 160)
    nothing_but_the_scene(browser)
    for index in range(3):
        expected = drawn_here(index, 240, 160)
        wait(browser, lambda b, wanted=expected: psnr(picture(b), wanted) > 30)  # at least 35.7
        assert index == 0 or psnr(picture(browser), drawn_here(index - 1, 240, 160)) < 25
        press(browser, "\ue014")  # right arrow
    assert browser.get_log("browser") == []
    assert browser.execute_script(
        "return performance.getEntriesByType('resource').every(e => /^(data|blob):/.test(e.name))"
    )


def test_what_changes_is_drawn_however_slow_the_machine(browser: Chrome, page: Path) -> None:
    opened(browser, page, 240, 160)
    nothing_but_the_scene(browser)
    browser.execute_script("let now = performance.now(); performance.now = () => now += 5000")
    press(browser, "\ue014")  # right arrow
    wait(browser, lambda b: psnr(picture(b), drawn_here(1, 240, 160)) > 30)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_photo_against_render(browser: Chrome, page: Path, width: int, height: int) -> None:
    opened(browser, page, width, height)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    find = browser.find_element
    assert find(By.ID, "where").text == "a.png (1 of 3)"
    assert not find(By.ID, "picture").is_displayed()
    press(browser, "c")
    frame = find(By.ID, "frame").rect
    below = find(By.ID, "bar").rect["y"]
    assert (
        frame["width"] / frame["height"] == pytest.approx(1.5, abs=0.02) and frame["y"] + frame["height"] <= below + 1
    )
    shown = picture(browser)
    row, left = int(frame["y"] + frame["height"] / 2), int(frame["x"])
    at = [shown[:, row, left + int(share * frame["width"])] for share in (0.25, 0.75)]
    assert torch.allclose(at[0], torch.tensor([0.0, 1, 0]), atol=0.05) and not torch.allclose(at[0], at[1], atol=0.2)
    press(browser, "c")
    assert find(By.ID, "picture").get_attribute("alt") == "predicted blur of a.png"
    find(By.CSS_SELECTOR, "#strip button:nth-child(3)").click()
    assert find(By.ID, "where").text == "c.png (3 of 3)"
    assert find(By.ID, "picture").get_attribute("alt") == "predicted blur of c.png"
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(("width", "height"), [(800, 400), (240, 600)])
def test_side_by_side(browser: Chrome, page: Path, width: int, height: int) -> None:
    """Photo, render and predicted blur of one size, in a row or in a column; the render is the run's in its cell."""
    opened(browser, page, width, height)
    browser.execute_script("const c = document.getElementById('against'); c.value = 'side by side'; c.onchange()")
    press(browser, "h")  # no words over the pictures
    boxes = [
        browser.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css)
        for css in ("#beside figure:nth-child(1)", "#frame", "#beside figure:nth-child(2)")
    ]
    sizes = {(round(box["width"]), round(box["height"])) for box in boxes}
    assert len(sizes) == 1 and boxes[0]["width"] == pytest.approx(1.5 * boxes[0]["height"], rel=0.01)
    assert all(a["right"] <= b["left"] + 1 or a["bottom"] <= b["top"] + 1 for a, b in pairwise(boxes))
    assert all(box["top"] >= 0 and box["bottom"] <= height + 1 and box["right"] <= width + 1 for box in boxes)
    cells = [tuple(round(box[side]) for side in ("left", "top", "width", "height")) for box in boxes]
    left, top, wide, high = cells[1]
    expected = drawn_here(0, wide, high)
    wait(browser, lambda b: psnr(picture(b)[:, top : top + high, left : left + wide], expected) > 25)
    shown = picture(browser)
    for (left, top, wide, high), colour in ((cells[0], [0.0, 1, 0]), (cells[2], [0.0, 0, 1])):
        assert torch.allclose(shown[:, top + high // 2, left + wide // 2], torch.tensor(colour), atol=0.05)


def test_moving_leaves_the_photo(browser: Chrome, page: Path) -> None:
    opened(browser, page, 800, 600)
    before = picture(browser)
    view = browser.find_element(By.ID, "view")
    ActionChains(browser).drag_and_drop_by_offset(view, 120, 20).perform()
    wait(browser, lambda b: b.find_element(By.ID, "where").text == "Drag, or pick a photo below")
    wait(browser, lambda b: (picture(b)[:, 80:400] - before[:, 80:400]).abs().mean() > 0.01)
    press(browser, "e")
    assert browser.find_element(By.ID, "walk").get_attribute("aria-pressed") == "true"
    still = picture(browser)
    ActionChains(browser).key_down("w").pause(0.5).key_up("w").perform()
    wait(browser, lambda b: (picture(b)[:, 80:400] - still[:, 80:400]).abs().mean() > 0.003)
    press(browser, "?")
    assert browser.find_element(By.ID, "words").is_displayed()
