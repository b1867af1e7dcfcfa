"""Is a run sharper than one at a lower resolution? ``python -m bags.benchmark.sharpness RUN LOWER [PHOTO ...]``.

Both are folders of finished runs of the same scene. Pictures of ``LOWER`` are enlarged to ``RUN``'s size by bicubic
interpolation. Noise is not sharpness, so the comparison is about how much of the *photo's* fine detail a render has.
Fine detail is what a picture loses when it is shrunk by a factor and enlarged again. For a sharp photo's detail p and
the render's detail r, the share ``<r, p> / <p, p>`` is 1 for the photo itself and 0 for noise. The correlation
``<r, p> / |r| |p|`` is lower if a render has detail that the photo does not have.

``PHOTO ...`` are the sharp training photos (names without suffix). Their sharp renders are compared with them, like
those of test photos. The other training photos are blurred, but they too have some detail that a quarter of their size
cannot represent, and the blurry prediction should have it. The variance of the sharp render's Laplacian, the customary
measure of sharpness, is also raised by noise.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
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
    """A render's fine detail: the ``share`` of the photo's detail that it has, and its ``correlation`` with that."""

    share: float
    correlation: float


def fine(image: Tensor, factor: float) -> Tensor:
    """(3, H, W) detail that ``image`` loses when it is shrunk by ``factor`` (area means) and enlarged (bicubic)."""
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


Figures = dict[str, list[float]]


def _judge(figures: Figures, kind: str, render: Tensor, photo: Tensor, factors: Sequence[int] = FACTORS) -> None:
    """PSNR and, for each of ``factors``, share and correlation of the detail, appended to ``figures``."""
    figures.setdefault(f"{kind}: PSNR", []).append(psnr(render, photo))
    for factor in factors:
        found = detail(render, photo, factor)
        figures.setdefault(f"{kind}: share 1/{factor}", []).append(found.share)
        figures.setdefault(f"{kind}: correlation 1/{factor}", []).append(found.correlation)


def judged(run: Path, other: Path, sharp_photos: Collection[str] = ()) -> Figures:
    """One number per picture for each figure of ``other``'s pictures, enlarged to the size of ``run``'s photos.

    Args:
        run: folder of the run whose photos are the truth.
        other: folder of the run to evaluate.
        sharp_photos: names, without suffix, of the sharp training photos.
    """
    figures: Figures = {}
    for path in sorted((run / "test" / "ground_truth").glob("*.png")):
        photo = _read(path)
        _judge(figures, "held out", _read(other / "test" / "render" / path.name, photo), photo)
    for path in sorted((run / "train_views" / "photo").glob("*.png")):
        photo = _read(path)
        sharp, predicted = (_read(other / "train_views" / kind / path.name, photo) for kind in ("sharp", "prediction"))
        if path.stem in sharp_photos:
            _judge(figures, "sharp training", sharp, photo)
        else:
            _judge(figures, "blurred training", predicted, photo, FACTORS[:1])
        figures.setdefault("training: Laplacian variance", []).append(laplacian_variance(sharp))
    return figures


def main(run: str, lower: str, *sharp_photos: str) -> None:
    """Print the table: means over the pictures, and how many pictures are better at the full size."""
    table = Table("", Path(run).name, f"{Path(lower).name}, enlarged", "better in")
    ours, theirs = (judged(Path(run), Path(folder), sharp_photos) for folder in (run, lower))
    for name, values in ours.items():
        wins = sum(a > b for a, b in zip(values, theirs[name], strict=True))
        table.add_row(name, *(f"{float(np.mean(v)):.3f}" for v in (values, theirs[name])), f"{wins} of {len(values)}")
    Console().print(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
