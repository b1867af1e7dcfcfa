"""PlayCanvas's SOG, version 2: a zip of lossless WebP images with one pixel per Gaussian, and ``meta.json``.

The public specification is PlayCanvas's page "The SOG Format".
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bags.io.ply import PlyGaussians, taken
from bags.ops.clusters import clusters, levels
from bags.ops.morton import morton_order

PALETTE = 4096  # different view-dependent colours; more take long to compute and hardly help
PALETTE_WIDTH = 64  # of them per row of the image
TAG = 252  # plus the index of the largest quaternion component
WHEN = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same Gaussians give the same file


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write the file. Gaussians are sorted so that neighbours are close in the images, which then compress better."""
    g = taken(gaussians, morton_order(gaussians.means))
    files: dict[str, bytes] = {}
    meta: dict[str, object] = {"version": 2, "count": len(g.means), "antialias": True}
    meta["means"] = _means(files, g.means)
    meta["scales"] = _scales(files, g.log_scales)
    meta["quats"] = _quats(files, g.rotations)
    meta["sh0"] = _colours(files, g)
    if g.sh_rest.shape[1]:
        meta["shN"] = _harmonics(files, g.sh_rest)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"meta.json": json.dumps(meta).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, WHEN), data)


def _means(files: dict[str, bytes], means: Tensor) -> dict[str, object]:
    logs = means.sign() * means.abs().double().log1p()
    low, high = logs.amin(0), logs.amax(0)
    steps = ((logs - low) / (high - low).clamp_min(1e-30) * 65535).round().long()
    files["means_l.webp"], files["means_u.webp"] = _picture(steps & 255), _picture(steps >> 8)
    return {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]}


def _scales(files: dict[str, bytes], log_scales: Tensor) -> dict[str, object]:
    codebook, labels = levels(log_scales)
    files["scales.webp"] = _picture(labels)
    return {"codebook": codebook.tolist(), "files": ["scales.webp"]}


def _quats(files: dict[str, bytes], wxyz: Tensor) -> dict[str, object]:
    """The three smaller components, times the square root of two; the fourth channel says which one is left out."""
    largest = wxyz.abs().argmax(1)
    positive = wxyz * torch.where(wxyz.gather(1, largest[:, None]) < 0, -1.0, 1.0)
    others = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    small = ((positive.gather(1, others) * math.sqrt(2) + 1) / 2 * 255).round().clamp(0, 255).long()
    files["quats.webp"] = _picture(torch.cat([small, TAG + largest[:, None]], dim=1))
    return {"files": ["quats.webp"]}


def _colours(files: dict[str, bytes], g: PlyGaussians) -> dict[str, object]:
    codebook, labels = levels(g.sh_dc[:, 0])
    opacity = (g.opacity_logits.sigmoid() * 255).round().long()
    files["sh0.webp"] = _picture(torch.cat([labels, opacity[:, None]], dim=1))
    return {"codebook": codebook.tolist(), "files": ["sh0.webp"]}


def _harmonics(files: dict[str, bytes], rest: Tensor) -> dict[str, object]:
    bands = math.isqrt(rest.shape[1] + 1) - 1
    palette, labels = clusters(rest.flatten(1), PALETTE)
    codebook, values = levels(palette)
    count, rows = len(palette), math.ceil(len(palette) / PALETTE_WIDTH)
    table = torch.zeros(rows * PALETTE_WIDTH, rest.shape[1], 3, dtype=torch.long)
    table[:count] = values.reshape(count, -1, 3)
    files["shN_centroids.webp"] = _webp(table.reshape(rows, -1, 3))
    files["shN_labels.webp"] = _picture(torch.stack([labels & 255, labels >> 8, torch.zeros_like(labels)], dim=1))
    return {
        "count": count,
        "bands": bands,
        "codebook": codebook.tolist(),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }


def _picture(channels: Tensor) -> bytes:
    """WebP of (N, 3 or 4) bytes, row by row in an approximately square image."""
    count, depth = channels.shape
    width = math.ceil(math.sqrt(count) / 4) * 4
    height = math.ceil(count / width)
    table = torch.zeros(width * height, depth, dtype=torch.long)
    table[:count] = channels
    return _webp(table.reshape(height, width, depth))


def _webp(pixels: Tensor) -> bytes:
    buffer = io.BytesIO()
    # exact: also keep colours where alpha is 0.
    Image.fromarray(pixels.numpy().astype(np.uint8)).save(buffer, "WEBP", lossless=True, exact=True, quality=100)
    return buffer.getvalue()
