"""Which kernel sides and strides a run uses (docs/method.md section 3, docs/full_resolution.md)."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings import BPNSettings


def _odd(side: float) -> int:
    """The odd number nearest to ``side``."""
    return 2 * round((side - 1) / 2) + 1


@dataclass(frozen=True)
class KernelSizes:
    """Kernel side of every head and the stride between its taps.

    Attributes:
        scales: one side per scale, coarse to fine.
        second: side of the second network's head; None: there is no second network.
        strides: one per scale; the second network uses that of the last scale.
    """

    scales: tuple[int, ...]
    second: int | None
    strides: tuple[int, ...]

    @classmethod
    def fitted(cls, settings: BPNSettings, width: int) -> KernelSizes:
        """Sides and strides of ``settings``, shrunk for photos narrower than ``fit_to_width``.

        Blur measured in pixels shrinks with the photo, and so does the largest kernel that is worth its cost. Strides
        shrink first, in whole numbers; sides make up for the rest. The first side stays the same, because the kernel of
        the coarsest scale is small already.

        Args:
            settings: sides and strides as configured, and the width in pixels they are meant for.
            width: training width in pixels.
        """
        first = settings.kernels[0]
        ratio = min(1.0, width / settings.fit_to_width) if settings.fit_to_width else 1.0

        wide = settings.strides or (1,) * len(settings.kernels)
        strides = tuple(max(1, round(stride * ratio)) for stride in wide)

        def fit(side: int, scale: int, part: float) -> int:
            rest = ratio * wide[scale] / strides[scale]
            if rest >= 1.0:
                return side
            largest = max(first, _odd(settings.kernels[-1] * rest))
            return min(side, _odd(first + part * (largest - first)))

        last = max(1, len(settings.kernels) - 1)
        scales = tuple(fit(side, i, i / last) for i, side in enumerate(settings.kernels))
        single = scales[-1] if settings.single_kernel is None else fit(settings.single_kernel, -1, 1.0)
        wanted = settings.second_network if settings.second_network is not None else single != scales[-1]
        return cls(scales, single if wanted else None, strides)

    def of(self, head: int | str) -> int:
        """Side of one head: a scale's index, or ``single``."""
        if isinstance(head, int):
            return self.scales[head]
        assert self.second is not None
        return self.second

    def stride(self, head: int | str) -> int:
        """Pixels between the taps of one head's kernels."""
        return self.strides[head if isinstance(head, int) else -1]
