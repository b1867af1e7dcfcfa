"""antimatter15's ``.splat``: 32 bytes per Gaussian, with view-independent colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bags.io.ply import PlyGaussians, taken
from bags.ops.sh import dc_to_rgb

ROW = np.dtype([("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("wxyz", "u1", 4)])


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write the file, largest and most opaque first, because viewers show it while it loads."""
    weight = gaussians.log_scales.sum(1).exp() * gaussians.opacity_logits.sigmoid()
    g = taken(gaussians, weight.argsort(descending=True, stable=True))
    rows = np.empty(len(g.means), ROW)
    rows["xyz"], rows["scale"] = g.means, g.log_scales.exp()
    rgba = torch.cat([dc_to_rgb(g.sh_dc[:, 0]), g.opacity_logits.sigmoid()[:, None]], dim=1)
    rows["rgba"] = (rgba.clamp(0, 1) * 255).round()
    rows["wxyz"] = (g.rotations * 128 + 128).round().clamp(0, 255)
    rows.tofile(path)
