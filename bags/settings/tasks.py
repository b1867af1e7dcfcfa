"""What belongs to one task: the sections ``render``, ``export``, ``prepare``, ``benchmark`` and ``summarize``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bags.settings.limits import Section, at_least, below_output_root, one_of, resolution, setting, within

FORMATS = ("ply", "ply_with_filter", "compressed_ply", "splat", "spz", "sog", "html")


@dataclass(frozen=True)
class RenderSettings(Section, key="render"):
    """``task=render``: sharp pictures of the views, or a video (docs/export.md).

    Attributes:
        split: whose views are drawn: ``test``, ``train`` or ``both``.
        path: draw a video instead: past the training cameras (``train``), on an ``ellipse`` or a ``spiral``, or from
            photo to photo, each beside its sharp render (``before_after``); null: pictures.
        frames: length of the video.
        fps: frames per second of the video.
        depth: also draw depth (not beside photos).
        factor: resolution, as ``dataset.factor``; null: that of training.
    """

    split: str = setting("test", one_of("test", "train", "both"))
    path: str | None = setting(None, one_of("train", "ellipse", "spiral", "before_after"))
    frames: int = setting(240, at_least(2))
    fps: float = setting(30.0, within(1, 240))
    depth: bool = True
    factor: int | None = setting(None, resolution())


@dataclass(frozen=True)
class ExportSettings(Section, key="export"):
    """``task=export``: files for other programs (docs/export.md).

    Attributes:
        formats: ``ply`` (the common 3DGS layout, 3D filter baked in), ``ply_with_filter`` (Mip-Splatting's: the filter
            in a column of its own), ``compressed_ply``, ``splat``, ``spz`` and ``sog`` (smaller, and coarser),
            ``html`` (a page that shows the scene, ``scene.html`` beside the report).
        clean: leave out Gaussians that are faint or huge, float before the surface or hang together with nothing:
            ``careful`` or ``thorough``; ``off``: none.
        region: leave out Gaussians whose centres are not in a sphere ``[x, y, z, radius]`` or in a box
            ``[x, y, z, x, y, z]`` of two corners, the lower one first; ``auto``: in the sphere around what the photos
            look at that half of them show whole; null: none. In the world's coordinates, as in the PLY.
        cameras: also the training views' cameras as a COLMAP model, ``sparse/0/``.
    """

    formats: tuple[str, ...] = setting(
        ("ply",), one_of(*FORMATS, more="; export ply and convert that for others (docs/export.md)")
    )
    clean: str = setting("off", one_of("off", "careful", "thorough"))
    region: str | tuple[float, ...] | None = None
    cameras: bool = True

    def _check(self) -> None:
        self.need(
            self.region in (None, "auto") or (isinstance(self.region, tuple) and _is_region(self.region)),
            "region",
            "must be auto, a sphere [x, y, z, radius] or a box [x, y, z, x, y, z], the lower corner first",
        )


def _is_region(numbers: tuple[float, ...]) -> bool:
    """Are they a sphere or a box that has a volume?"""
    if not all(map(math.isfinite, numbers)):
        return False
    if len(numbers) == 4:
        return numbers[3] > 0
    return len(numbers) == 6 and all(low < high for low, high in zip(numbers[:3], numbers[3:], strict=True))


@dataclass(frozen=True)
class PrepareSettings(Section, key="prepare"):
    """``task=prepare``: a COLMAP scene from photos or a video (docs/your_photos.md).

    Attributes:
        frames: number of frames that are taken from a video.
        photos: number of photos that are taken from a larger folder: the sharpest of as many equal groups of them, in
            name order; null: all.
        feature_size: features are detected on photos whose longer side is at most this many pixels.
        features: at most this many features per photo; the time for comparing grows with its square.
        enough: if the careful settings place less than this fraction of the photos (by 20 points or more), tolerant
            ones are tried too.
        test_views: number of photos to hold out for testing: the sharpest of as many equal groups of them, in name
            order; null: none, all photos are used for training.
        threads: CPU threads; null: all.
    """

    frames: int = setting(60, at_least(3))
    photos: int | None = setting(None, at_least(3))
    feature_size: int = setting(1200, at_least(64))
    features: int = setting(2048, at_least(64))
    enough: float = setting(0.9, within(0, 1, "must be a fraction of the photos: 0 to 1"))
    test_views: int | None = setting(None, at_least(1))
    threads: int | None = setting(None, at_least(1))


@dataclass(frozen=True)
class BenchmarkSettings(Section, key="benchmark"):
    """``task=benchmark``.

    Attributes:
        repeats: of every row; the median is reported.
        full: also run the large cases.
        processor: ``native``, or ``avx2`` to use no more instructions than AVX2, which most laptops have.
    """

    repeats: int = setting(5, at_least(1))
    full: bool = True
    processor: str = setting("native", one_of("native", "avx2"))


@dataclass(frozen=True)
class SummarizeSettings(Section, key="summarize"):
    """``task=summarize``: which finished runs go into the tables, and what makes a column (docs/experiments.md).

    Attributes:
        runs: globs of run folders below ``output_root``.
        columns: settings whose values make a column; runs that share them and their scene count as seeds of one
            experiment.
    """

    runs: tuple[str, ...] = setting(("**",), below_output_root("folders"))
    columns: tuple[str, ...] = ("model.name",)

    def _check(self) -> None:
        self.need(len(self.runs) > 0, "runs", "name at least one folder or glob")
        self.need(len(self.columns) > 0, "columns", "name at least one setting, as model.name")
