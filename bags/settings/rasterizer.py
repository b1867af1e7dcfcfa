"""Which rasteriser draws: the section ``rasterizer``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, one_of, setting


@dataclass(frozen=True)
class RasterizerSettings(Section, key="rasterizer"):
    """Which rasteriser draws; docs/rasterizers.md compares them.

    Attributes:
        name: ``auto`` (gsplat on CUDA, numba on the CPU), ``numba``, ``gsplat``, ``diff_gaussian`` or ``reference``.
        absolute_gradients: densify by the sum of the absolute gradients of the pixels instead of their sum (AbsGS;
            beyond the published method; these sums are larger, so raise ``densify.gradient`` too). gsplat only.
    """

    name: str = setting("auto", one_of("auto", "numba", "gsplat", "diff_gaussian", "reference"))
    absolute_gradients: bool = False

    def _check(self) -> None:
        able = not self.absolute_gradients or self.name in ("auto", "gsplat")
        remedy = f"rasterizer.name={self.name} does not provide them, only gsplat does"
        self.need(able, "absolute_gradients", remedy)
