"""``task=view``: a run in the browser, from any checkpoint."""

from __future__ import annotations

import logging

from bags.settings import Settings
from bags.tasks.checkpoints import checkpoint
from bags.tasks.setup import build, load_weights
from bags.viewer.server import Viewer, need_viser
from bags.viewer.stops import stops

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve ``ckpt_path`` (default: the last) until Ctrl-C."""
    need_viser()  # before the scene is read
    path = checkpoint(settings, default="last")
    assert path is not None
    datamodule, module = build(settings)
    step = int(load_weights(module, path)["global_step"])
    module.eval()
    viewer = Viewer(module, stops(datamodule), datamodule.extent, settings.viewer, step, settings.name)
    log.info("%s, step %d: %s (Ctrl-C ends it)", settings.name, step, viewer.address)
    try:
        viewer.serve()
    finally:
        viewer.close()
