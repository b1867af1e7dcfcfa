"""The viewer in a real browser, without a screen: it loads, moves, toggles, shows a kernel."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.support.wait import WebDriverWait

from bags.viewer.server import Viewer
from tests.browser import needs_browser, start
from tests.waiting import HANG

pytestmark = needs_browser

FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1000,700")  # WebGL on any machine
PRESS = "[...document.querySelectorAll('button')].find(b => b.innerText === '{}').click()"
OPEN = "[...document.querySelectorAll('input')].find(i => i.value === '{}').click()"
CHOOSE = "[...document.querySelectorAll('[role=option]')].find(o => o.innerText === '{}').click()"
OPTION = "return [...document.querySelectorAll('[role=option]')].some(o => o.innerText === '{}')"
KERNELS = "return [...document.querySelectorAll('img')].filter(i => i.naturalWidth > 50).map(i => i.naturalWidth)"
PICTURE = (slice(180, 560), slice(20, 600))  # rows and columns of the window that no panel covers
BESIDE = (300, 400)  # a place on it


@pytest.fixture
def page(viewer: Viewer) -> Iterator[Chrome]:
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            if not viewer.draw_one():
                time.sleep(0.02)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with start(*FLAGS) as opened:
            opened.get(viewer.address)
            yield opened
    finally:
        done.set()
        drawing.join()


def until(page: Chrome, good: Callable[[], object], what: str) -> None:
    WebDriverWait(page, timeout=HANG, poll_frequency=0.2).until(lambda _: good(), what)


def picture(page: Chrome) -> np.ndarray:
    """(h, w, 3) of the window, where no panel covers it."""
    window = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB")
    return np.asarray(window)[PICTURE].astype(float)


def mouse(page: Chrome, *points: tuple[int, int]) -> None:
    """Press at the first point, drag over the others, let go."""
    actions = ActionBuilder(page, duration=60)
    pointer = actions.pointer_action
    pointer.move_to_location(*points[0]).pointer_down()
    for point in points[1:]:
        pointer.move_to_location(*point)
    pointer.pause(0.06).pointer_up()
    actions.perform()


def says(page: Chrome, words: str) -> None:
    until(page, lambda: words in page.execute_script("return document.body.innerText"), f"{words!r} is not said")


def choose(page: Chrome, now: str, then: str) -> None:
    page.execute_script(OPEN.format(now))
    until(page, lambda: page.execute_script(OPTION.format(then)), f"no option {then!r}")
    page.execute_script(CHOOSE.format(then))


def changes(page: Chrome, before: np.ndarray) -> np.ndarray:
    """The picture, once it is another one."""
    now = [before]

    def another() -> bool:
        now[0] = picture(page)
        return bool(np.abs(now[0] - before).mean() > 3)

    until(page, another, "the picture stays")
    return now[0]


def test_it_loads_moves_toggles_and_shows_a_kernel(page: Chrome, viewer: Viewer) -> None:
    first = viewer.stops[0].label
    says(page, first + ",")  # the browser's camera came to the view's own place, and said so
    sharp = changes(page, np.full_like(picture(page), 255))
    assert sharp.std() > 5
    choose(page, "sharp", "depth")
    depth = changes(page, sharp)
    choose(page, "depth", "predicted blur")
    changes(page, depth)
    mouse(page, BESIDE)
    says(page, "root mean square")
    until(page, lambda: page.execute_script(KERNELS), "no picture of the kernel")
    mouse(page, BESIDE, (340, 400), (400, 420))
    says(page, "free camera")
    says(page, "only at a photo's place")
    page.execute_script(PRESS.format("back"))
    says(page, first + ",")
    page.execute_script(PRESS.format("next"))
    says(page, viewer.stops[1].label + ",")
