"""A tiny module with a blur model, its views, and a viewer of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.modules.bags_module import BagsModule
from bags.run.build import build
from bags.run.start import decide
from bags.settings import ViewerSettings
from bags.viewer.server import Viewer
from bags.viewer.stops import stops
from tests.integration.test_training import settings_of

if importlib.util.find_spec("viser") is None:  # an extra: pip install -e '.[viewer]'
    collect_ignore = ["test_viewer.py", "test_clients.py", "test_live.py", "test_browser.py"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneDataModule, BagsModule]:
    root: Path = tmp_path_factory.mktemp("viewer")
    words = ("dataset.synthetic.width=64", "dataset.synthetic.height=48", "schedule.sharp_steps=7500")
    datamodule, module = build(decide(settings_of(root, *words)))
    return datamodule, module.eval()


@pytest.fixture
def viewer(built: tuple[SceneDataModule, BagsModule]) -> Iterator[Viewer]:
    """At the last step; listening on any free port."""
    datamodule, module = built
    made = Viewer(module, stops(datamodule), datamodule.extent, ViewerSettings(port=0), module.schedule.total, "tiny")
    yield made
    made.close()
