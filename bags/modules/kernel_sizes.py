"""Which kernel sides a run uses (docs/method.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings import BPNSettings


def _odd(side: float) -> int:
    """The odd number nearest to ``side``."""
    return 2 * round((side - 1) / 2) + 1


@dataclass(frozen=True)
class KernelSizes:
    """Kernel sides of every head.

    Attributes:
        scales: one side per scale, coarse to fine.
        second: side of the second network's head; None: there is no second network.
    """

    scales: tuple[int, ...]
    second: int | None

    @classmethod
    def fitted(cls, settings: BPNSettings, width: int) -> KernelSizes:
        """The sides of ``settings``, shrunk for photos narrower than ``fit_to_width``.

        A blur measured in pixels shrinks with the photo, and so does the largest kernel that is worth its price. The
        first side stays: the coarsest scale's kernel already is small.

        Args:
            settings: sides as stated, and the width in pixels they are meant for.
            width: training width in pixels.
        """
        first = settings.kernels[0]
        ratio = min(1.0, width / settings.fit_to_width) if settings.fit_to_width else 1.0

        def fit(side: int, part: float) -> int:
            if ratio == 1.0:
                return side
            largest = max(first, _odd(settings.kernels[-1] * ratio))
            return min(side, _odd(first + part * (largest - first)))

        last = max(1, len(settings.kernels) - 1)
        scales = tuple(fit(side, i / last) for i, side in enumerate(settings.kernels))
        single = scales[-1] if settings.single_kernel is None else fit(settings.single_kernel, 1.0)
        wanted = settings.second_network if settings.second_network is not None else single != scales[-1]
        return cls(scales, single if wanted else None)

    def of(self, head: int | str) -> int:
        """Side of one head: a scale's index, or ``single``."""
        if isinstance(head, int):
            return self.scales[head]
        assert self.second is not None
        return self.second
