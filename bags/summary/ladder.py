"""The share of the gap closed, between training on blurred photos without a blur model and training on sharp photos.

docs/quality.md has the exact definition.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable

from bags.summary.cells import Cells, differing
from bags.summary.quantities import Quantity
from bags.summary.runs import Run

NO_BLUR_MODEL = "mip_splatting"
LEAST_GAP = 0.5  # dB; seeds differ by about 0.1, a fifth of it
_WORLD = "dataset.synthetic."
_BLURRING = tuple(f"{_WORLD}{key}" for key in ("blurs", "strength", "least", "drift"))


class Ladder:
    """The scale for runs on the built-in worlds: the two ends of each scene's gap.

    Attributes:
        gaps: by scene: PSNR on the world's sharp photos minus PSNR on the scene's photos, both without a blur model, in
            dB; mean over the seeds that have both.
        problems: a message for each missing run. A scene with neither end is not on a ladder and gets no message.
    """

    def __init__(self, cells: Cells) -> None:
        runs = [run for seeds in cells.runs.values() for run in seeds.values() if _is_on_a_world(run)]
        ends = [run for run in runs if run.config.get("model.name") == NO_BLUR_MODEL]
        self._none: dict[str, dict[int, Run]] = defaultdict(dict)
        self._sharp: dict[str, dict[int, Run]] = defaultdict(dict)
        for run in ends:
            self._none[run.scene][run.seed] = run
            if is_sharp(run):
                self._sharp[world_of(run)][run.seed] = run
        self.gaps: dict[str, float] = {}
        self.problems: list[str] = []
        for scene in sorted({run.scene for run in runs}):
            own = [run for run in runs if run.scene == scene]
            none, sharp = self._none[scene], self._sharp[world_of(own[0])]
            if none or sharp:
                seeds = {run.seed for run in own}
                self._lacks(scene, seeds - none.keys(), "the scene's photos")
                self._lacks(scene, seeds - sharp.keys(), "the same world's sharp photos (docs/quality.md)")
            if both := sorted(none.keys() & sharp.keys()):
                self.gaps[scene] = statistics.fmean(psnr(sharp[seed]) - psnr(none[seed]) for seed in both)
                unlike = set(differing([none[both[0]], sharp[both[0]]])) - {"scene", *_BLURRING}
                if unlike:
                    self.problems.append(f"{scene}: the ends of its gap differ in {', '.join(sorted(unlike))}")

    def _lacks(self, scene: str, seeds: Iterable[int], photos: str) -> None:
        if which := ", ".join(f"seed={seed}" for seed in sorted(seeds)):
            self.problems.append(
                f"{scene}: the share of the gap closed needs another run: model={NO_BLUR_MODEL} on {photos}, {which}"
            )

    def above_none(self, run: Run) -> float | None:
        """PSNR in dB above that of the run without a blur model on the same photos with the same seed."""
        none = self._none.get(run.scene, {}).get(run.seed) if _is_on_a_world(run) else None
        return None if none is None else psnr(run) - psnr(none)

    def share(self, run: Run) -> float | None:
        """Per cent of the gap closed; None if the gap is too small."""
        gap, above = self.gaps.get(run.scene, 0.0), self.above_none(run)
        return None if above is None or gap < LEAST_GAP else 100 * above / gap

    def beside(self, run: Run) -> float | None:
        """``above_none`` if the gap is too small to divide by."""
        return self.above_none(run) if self.gaps.get(run.scene, LEAST_GAP) < LEAST_GAP else None

    def gap(self, run: Run) -> float | None:
        """The gap of a run that is its lower end, in dB; None for other runs."""
        sharp = self._sharp.get(world_of(run), {}).get(run.seed)
        return psnr(sharp) - psnr(run) if sharp and run is self._none.get(run.scene, {}).get(run.seed) else None

    def quantities(self) -> list[Quantity]:
        """The quantities of the table, in order."""
        return [
            Quantity("share of the gap closed, % ↑", self.share, 0, True),
            Quantity(f"PSNR above no blur model where the gap is below {LEAST_GAP} dB, dB ↑", self.beside, 2, True),
            Quantity("gap, dB", self.gap, 2, None),
        ]


def psnr(run: Run) -> float:
    """Mean over the test views, the same in both protocols; NaN if there are none."""
    return next((value for figures in run.figures.values() if (value := figures["psnr"]) is not None), float("nan"))


def world_of(run: Run) -> str:
    """Identifies world and cameras, independent of the blur."""
    return str(sorted((k, v) for k, v in run.config.items() if k.startswith(_WORLD) and k not in _BLURRING))


def is_sharp(run: Run) -> bool:
    """Whether all training photos are sharp and exposed like the test photos."""
    blurs, strength, drift = (run.config.get(f"{_WORLD}{key}") for key in ("blurs", "strength", "drift"))
    return (blurs == ["sharp"] or strength == 0) and not drift


def _is_on_a_world(run: Run) -> bool:
    return run.config.get("dataset.parser") == "synthetic" and psnr(run) == psnr(run)
