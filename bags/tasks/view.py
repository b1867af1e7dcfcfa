"""``task=view``: shows a run in the browser, from any checkpoint."""

from __future__ import annotations

import logging

from bags.run.build import trained
from bags.settings import Settings
from bags.viewer.server import Viewer, need_viser
from bags.viewer.stops import stops

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve ``ckpt_path`` (default: the last checkpoint) until Ctrl-C."""
    need_viser()  # before the scene is read
    seen = trained(settings)
    data, step = seen.datamodule, seen.step
    viewer = Viewer(seen.module, stops(data), data.extent, settings.viewer, step, settings.name)
    log.info("%s, step %d: %s (Ctrl-C ends it)", settings.name, step, viewer.address)
    try:
        viewer.serve()
    finally:
        viewer.close()
