"""Is a run sharper than one at a lower resolution? ``python -m bags.benchmark.sharpness RUN LOWER``.

Both are finished runs' folders of the same scene; pictures of ``LOWER`` are brought to ``RUN``'s size by bicubic
interpolation. Noise is not sharpness: what counts is how much of the *photo's* fine detail a render has. Fine detail
is what a picture loses when it is shrunk by a factor and enlarged again. Of a sharp test photo's detail p and the
render's r, the share ``<r, p> / <p, p>`` is 1 for the photo itself and 0 for noise; the correlation
``<r, p> / |r| |p|`` falls where a render has detail that is not the photo's. Training photos are blurred, but some of
their detail is still finer than a quarter of their size can hold: the blurry prediction should have all of it, and the
sharp render more, at the same edges. The variance of the sharp render's Laplacian is raised by noise too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import interpolate

from bags.io.images import read_image
from bags.ops.psnr import psnr
from bags.ops.sharpness import laplacian_variance

FACTORS = (4, 8, 16)


@dataclass(frozen=True)
class Detail:
    """Of a render's fine detail: ``share`` of the photo's that it has, and ``correlation`` with the photo's."""

    share: float
    correlation: float


def fine(image: Tensor, factor: float) -> Tensor:
    """(3, H, W) what ``image`` loses when it is shrunk by ``factor`` (area means) and enlarged again (bicubic)."""
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[2] / factor)))
    small = interpolate(image[None], size=size, mode="area")
    return image - interpolate(small, size=image.shape[1:], mode="bicubic", align_corners=False)[0]


def detail(render: Tensor, photo: Tensor, factor: float) -> Detail:
    """Compare the fine detail of a render with that of its sharp photo, both (3, H, W)."""
    ours, true = fine(render, factor), fine(photo, factor)
    both, own, whole = (float((a * b).sum()) for a, b in ((ours, true), (ours, ours), (true, true)))
    return Detail(both / max(whole, 1e-12), both / max((own * whole) ** 0.5, 1e-12))


def _read(path: Path, like: Tensor | None = None) -> Tensor:
    picture = read_image(path).convert("RGB")
    if like is not None and picture.size != (like.shape[2], like.shape[1]):
        picture = picture.resize((like.shape[2], like.shape[1]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def _rows(run: Path, other: Path) -> list[tuple[str, list[float]]]:
    """A column per figure: means over the pictures that ``other`` and ``run`` both have."""
    truths = sorted((run / "test" / "ground_truth").glob("*.png"))
    figures: dict[str, list[float]] = {}
    for path in truths:
        photo = _read(path)
        render = _read(other / "test" / "render" / path.name, photo)
        figures.setdefault("test PSNR", []).append(psnr(render, photo))
        for factor in FACTORS:
            found = detail(render, photo, factor)
            figures.setdefault(f"share 1/{factor}", []).append(found.share)
            figures.setdefault(f"correlation 1/{factor}", []).append(found.correlation)
    for path in sorted((run / "train_views" / "photo").glob("*.png")):
        photo = _read(path)
        sharp, predicted = (_read(other / "train_views" / kind / path.name, photo) for kind in ("sharp", "prediction"))
        figures.setdefault("training PSNR of the blurry prediction", []).append(psnr(predicted, photo))
        for name, picture in (("prediction", predicted), ("sharp render", sharp)):
            found = detail(picture, photo, FACTORS[0])
            figures.setdefault(f"training {name}: share 1/{FACTORS[0]}", []).append(found.share)
            figures.setdefault(f"training {name}: correlation 1/{FACTORS[0]}", []).append(found.correlation)
        figures.setdefault("training Laplacian variance of the sharp render", []).append(laplacian_variance(sharp))
    return list(figures.items())


def main(run: str, lower: str) -> None:
    """Print the table."""
    table = Table("", Path(run).name, f"{Path(lower).name}, enlarged")
    for (name, ours), (_, theirs) in zip(_rows(Path(run), Path(run)), _rows(Path(run), Path(lower)), strict=True):
        table.add_row(name, *(f"{float(np.mean(values)):.3f}" for values in (ours, theirs)))
    Console().print(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
