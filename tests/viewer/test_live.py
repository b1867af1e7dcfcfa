"""Looking while it trains, and at a finished run: whole runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from bags.callbacks import live_viewer
from bags.settings import Settings
from bags.tasks import train
from bags.viewer.eye import Eye
from bags.viewer.server import Viewer
from tests.integration.test_training import assert_same_state, settings_of
from tests.viewer.page import Page
from tests.waiting import HANG

ROOT = Path(__file__).parents[2]


class Watched(Viewer):
    """A viewer with somebody in front of it who keeps moving and asks for everything in turn."""

    pictures = 0
    kept: Settings | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        threading.Thread(target=self.watch, daemon=True).start()
        while not self.guests:
            threading.Event().wait(0.01)

    def watch(self) -> None:
        eye = Eye.at(self.stops[0].camera, 48, 32)
        try:
            with Page(self.address) as page:
                page.look(eye)
                for number in range(10_000):
                    page.picture()
                    type(self).pictures += 1
                    page.choose("show", ("side by side", "sharp", "points", "mask")[number % 4])
                    page.choose("photo", self.stops[number % len(self.stops)].label)
                    page.look(Eye.at(self.stops[number % len(self.stops)].camera, 48, 32))
                    page.click(0.5, 0.5)
        except (ConnectionClosed, TimeoutError):
            return

    def serve(self) -> None:
        assert self._server is not None
        folder = type(self).kept
        assert folder is not None and (folder.folder / "metrics.json").is_file()
        type(self).kept = None


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Trained with somebody watching all the time; then kept for a moment."""
    root = tmp_path_factory.mktemp("live")
    settings = settings_of(root, "viewer=live", "viewer.port=0", "viewer.share=0.95", "viewer.keep=true")
    Watched.kept = settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_viewer, "Viewer", Watched)
        train.run(settings)
    return settings


def test_live_viewer_does_not_change_training(live: Settings, tmp_path: Path) -> None:
    alone = settings_of(tmp_path)
    train.run(alone)
    assert_same_state(live.folder, alone.folder)
    assert Watched.pictures > 5
    assert Watched.kept is None  # the final state was shown, after the metrics


def test_viewer_is_off_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a viewer was opened")

    monkeypatch.setattr(live_viewer, "Viewer", never)
    train.run(settings_of(tmp_path, "schedule.steps=3"))


def test_task_view_serves_until_ctrl_c(live: Settings) -> None:
    command = [sys.executable, "run.py", "task=view", f"name={live.name}", f"output_root={live.output_root}"]
    process = subprocess.Popen(
        [*command, "viewer.port=0"], cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"}
    )
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        with Page(found.group()) as page:
            page.look(Eye((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -3.0), 1.0, 64, 48))
            page.picture()
            page.told("step 40")
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=HANG)
    finally:
        process.kill()
    assert process.returncode == 0 and "Traceback" not in said + rest
