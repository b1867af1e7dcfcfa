"""The quantities by which runs are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bags.summary.runs import Run


@dataclass(frozen=True)
class Quantity:
    """A quantity by which runs are compared.

    Attributes:
        name: as shown, with an arrow in the direction of better values.
        of: returns its value for a run; None if the run has none.
        digits: after the decimal point.
        larger: whether larger is better; None: neither.
    """

    name: str
    of: Callable[[Run], float | None]
    digits: int
    larger: bool | None


def figure(protocol: str, key: str, run: Run) -> float | None:
    """A metric of one protocol; None if the run has none."""
    return run.figures.get(protocol, {}).get(key)


def agreement(key: str, unit: float, run: Run) -> float | None:
    """A figure of the agreement of estimated and true blur, in units of ``unit``."""
    value = run.agreement[key]
    return None if value is None else value / unit


def cost(key: str, unit: float, run: Run) -> float | None:
    """A cost of a run, in units of ``unit``."""
    value = run.costs[key]
    return None if value is None else value / unit


def quality(protocol: str, ending: str = "") -> list[Quantity]:
    """The three metrics by ``protocol``; ``ending``: of their keys, as ``_colour_corrected``."""
    words = ending.replace("_", " ")
    return [
        Quantity(f"PSNR{words} ↑", partial(figure, protocol, f"psnr{ending}"), 2, True),
        Quantity(f"SSIM{words} ↑", partial(figure, protocol, f"ssim{ending}"), 4, True),
        Quantity(f"LPIPS{words} ↓", partial(figure, protocol, f"lpips{ending}"), 4, False),
    ]


BLUR = [
    Quantity("right kind of blur, % of the photos ↑", partial(agreement, "blur_kind_share", 0.01), 0, True),
    Quantity(
        "direction of streaks, median error, degrees ↓", partial(agreement, "blur_direction_error", 1.0), 1, False
    ),
    Quantity("rank correlation of amounts ↑", partial(agreement, "blur_rank_correlation", 1.0), 2, True),
]
MINUTES = Quantity("minutes ↓", partial(cost, "train_seconds", 60), 1, False)
COSTS = [
    MINUTES,
    Quantity("main memory, GB ↓", partial(cost, "peak_memory_mb", 1e3), 2, False),
    Quantity("GPU memory, GB ↓", partial(cost, "gpu_memory_mb", 1e3), 2, False),
    Quantity("Gaussians, thousands", partial(cost, "num_gaussians", 1e3), 1, None),
]
