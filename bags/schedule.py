"""The single clock of a run: at which step what happens (docs/method.md section 4).

The published "learning-rate reset" is a clock that starts over: after the multi-scale phase every schedule begins again
from 1, while Adam's moments, the resolution and the degree of the spherical harmonics stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bags.settings import ScheduleSettings


@dataclass(frozen=True)
class Phase:
    """Where a step stands.

    Attributes:
        step: 1-based optimiser step of the run.
        clock: 1-based step of the current phase; restarts after the multi-scale phase (unless switched off).
        multi_scale: in the multi-scale phase?
        scale: index into the schedule's scale divisors, 0 = coarsest.
        divisor: the training resolution is divided by this.
        blur: is the blur modelled at this step?
    """

    step: int
    clock: int
    multi_scale: bool
    scale: int
    divisor: int
    blur: bool


class ScaleSchedule:
    """Answers "where are we?" for every step; pure, made from ``ScheduleSettings`` alone.

    With ``settings.steps`` every number is scaled by ``steps / iterations``, except that densification and opacity
    resets never come closer together than the ``shortest_*`` limits.

    Attributes:
        total: steps of the run.
        ms_steps: steps of the multi-scale phase.
        divisors: resolution divisors, coarse to fine.
    """

    def __init__(self, settings: ScheduleSettings) -> None:
        self.settings = settings
        self.total = settings.steps or settings.iterations
        self.factor = self.total / settings.iterations
        self.divisors = tuple(settings.scale_divisors)
        self.ms_steps = round(settings.ms_steps * self.factor)
        self.starts = [1]
        for start in settings.scale_starts[1:]:
            self.starts.append(max(self.starts[-1] + 1, round(start * self.factor)))
        if not settings.coarse_to_fine:
            self.starts = [1] * len(self.starts)
        self.sharp_steps = round(settings.sharp_steps * self.factor)
        self.position_lr_steps = self._scaled(settings.position_lr_steps)
        self.sh_every = self._scaled(settings.sh_every)
        self.filter_every = self._scaled(settings.filter_every, settings.shortest_densify_every)
        self.densify_every = self._scaled(settings.densify_every, settings.shortest_densify_every)
        self.densify_from = self._scaled(settings.densify_from, settings.shortest_densify_from)
        self.densify_until = self._scaled(settings.densify_until)
        self.opacity_reset_every = self._scaled(settings.opacity_reset_every, settings.shortest_opacity_reset_every)
        self.prune_big_from = self._scaled(settings.prune_big_from)

    def _scaled(self, steps: int, shortest: int = 1) -> int:
        """``steps`` of the full schedule in this run; a run that is not shortened keeps them exactly."""
        return steps if self.factor >= 1 else max(shortest, round(steps * self.factor))

    def at(self, step: int) -> Phase:
        """The phase of 1-based ``step``; steps past the end stand where the last one does."""
        multi_scale = step <= self.ms_steps
        clock = step if multi_scale or not self.settings.restart else step - self.ms_steps
        scale = sum(start <= step for start in self.starts) - 1
        waits = multi_scale or self.settings.sharp_after_restart
        blur = clock > self.sharp_steps or not waits
        return Phase(step, clock, multi_scale, scale, self.divisors[scale], blur)

    @property
    def finest(self) -> int:
        """Index of the full training resolution."""
        return len(self.divisors) - 1

    def changes_scale(self, step: int) -> bool:
        """Is ``step`` the first at its resolution?"""
        return step in self.starts

    def restarts(self, step: int) -> bool:
        """Does the clock start over at ``step``?"""
        return self.settings.restart and step == self.ms_steps + 1 and self.ms_steps > 0

    def sh_degree(self, step: int, largest: int) -> int:
        """Active degree: one more at each multiple of ``sh_every`` of the clock, never shrinking."""
        phase = self.at(step)
        first = 0 if phase.multi_scale or not self.settings.restart else self.ms_steps
        return min(largest, first // self.sh_every + phase.clock // self.sh_every)

    def position_rate(self, step: int, first: float, last: float) -> float:
        """Position learning rate: log-linear in the clock from ``first`` to ``last``."""
        part = min(1.0, self.at(step).clock / self.position_lr_steps)
        return math.exp((1 - part) * math.log(first) + part * math.log(last))

    def cooling(self, step: int) -> float:
        """Factor on all learning rates: 1, then log-linear down to ``cooldown_to`` over the run's last part."""
        length = self.settings.cooldown * self.total
        part = max(0.0, 1 - (self.total - step) / length) if length > 0 else 0.0
        return self.settings.cooldown_to**part

    def densifying(self, step: int) -> bool:
        """Are screen-space gradients gathered at ``step``? Not at the last one: its edits would never be seen."""
        return self.at(step).clock < self.densify_until and step < self.total

    def densifies(self, step: int) -> bool:
        """Are Gaussians cloned, split and pruned at ``step``?"""
        clock = self.at(step).clock
        return self.densifying(step) and clock > self.densify_from and clock % self.densify_every == 0

    def resets_opacity(self, step: int) -> bool:
        """Are opacities reset at ``step``? In a shortened run never so late that it would end before they recover."""
        recovers = self.factor >= 1 or self.total - step >= self.settings.shortest_recovery
        return self.densifying(step) and recovers and self.at(step).clock % self.opacity_reset_every == 0

    def prunes_big(self, step: int) -> bool:
        """Are Gaussians that are too large in the world pruned at ``step``, when it densifies?"""
        return self.at(step).clock > self.prune_big_from

    def refilters(self, step: int) -> bool:
        """Is the 3D filter recomputed after the edits of ``step``?"""
        late = not self.densifying(step) and step < self.total - 100
        return self.densifies(step) or (late and self.at(step).clock % self.filter_every == 0)
