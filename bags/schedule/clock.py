"""The single clock of a run: what happens at which step (docs/method.md section 4).

The published "learning-rate reset" is a restart of this clock: after the multi-scale phase every schedule starts again
from 1, while Adam's moments, the resolution and the degree of the spherical harmonics are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bags.settings import ScheduleSettings

Kind = tuple[int, bool, bool]  # Phase.kind


@dataclass(frozen=True)
class Phase:
    """The state of the schedule at one step.

    Attributes:
        step: 1-based optimiser step of the run.
        clock: 1-based step of the current phase; restarts after the multi-scale phase (unless switched off).
        multi_scale: whether the step is in the multi-scale phase.
        scale: index into the schedule's scale divisors, 0 = coarsest.
        divisor: the training resolution is divided by this.
        blur: whether blur is modelled at this step.
    """

    step: int
    clock: int
    multi_scale: bool
    scale: int
    divisor: int
    blur: bool

    @property
    def kind(self) -> Kind:
        """All that a step's cost depends on, besides the number of Gaussians."""
        return self.scale, self.multi_scale, self.blur


class Decision(NamedTuple):
    """A decision on the length of a run with a time budget (``ScaleSchedule.decide``).

    Attributes:
        after: last step that the decision does not affect.
        total: new number of steps of the run.
        seconds: expected time of a step, averaged over the remaining ones.
    """

    after: int
    total: int
    seconds: float


class ScaleSchedule:
    """The state and events of every step, from ``ScheduleSettings`` and, with a time budget, from decisions.

    With ``settings.steps`` all numbers of steps are scaled by ``steps / iterations``, except that the intervals of
    densification and opacity resets are never shorter than the ``shortest_*`` limits.

    With ``settings.minutes`` the first decision replaces ``settings.steps``: it makes the plan. Each later decision
    stretches or compresses the rest of the plan to another number of steps; the past is not changed. All states and
    events belong to steps of the plan. A step of the run has the state at its place in the plan, and an event happens
    at the first step that reaches it. Before the first decision, and without a budget, step and place are the same.

    Attributes:
        decisions: made so far, in order.
        total: steps of the run.
        longest: upper limit of ``total``.
        planned: steps of the plan.
        ms_steps: steps of the plan in the multi-scale phase. All other numbers of steps are in the plan, too.
        divisors: resolution divisors, coarse to fine.
        densify_weight: densifications of the full schedule that one in this run stands for; 1 but in a shortened run.
    """

    def __init__(self, settings: ScheduleSettings) -> None:
        self.settings = settings
        self.total: int
        self.divisors = tuple(settings.scale_divisors)
        self.longest = settings.steps or settings.iterations
        self.decisions: list[Decision] = []
        self._plan(self.longest)

    def decide(self, after: int, total: int, seconds: float) -> None:
        """Change the length of the run to ``total`` steps; see ``Decision``.

        Raises:
            ValueError: the run would end before the decision, or the decision is not after the previous one.
        """
        earlier = self.decisions[-1].after if self.decisions else -1
        if not earlier < after < total <= self.longest or after >= self.total:
            raise ValueError(f"a run of {total} steps, decided after step {after} (and {earlier}), is impossible")
        begins = after, self.plan_at(after)
        if self.decisions:
            self._pieces.append((*begins, total))
        else:
            self._plan(total)
        self.total = total
        self.decisions.append(Decision(after, total, seconds))

    def restore(self, decisions: Iterable[Iterable[float]]) -> None:
        """Replace the decisions by those of a checkpoint; without ``settings.minutes``, by none.

        Raises:
            ValueError: these decisions are impossible.
        """
        self.decisions = []
        self._plan(self.longest)
        for after, total, seconds in decisions if self.settings.minutes is not None else ():
            self.decide(int(after), int(total), float(seconds))

    def plan_at(self, step: int) -> int:
        """Place of ``step`` in the plan; the last step is at its end, and no earlier step is beyond it."""
        begin, planned, total = next((piece for piece in reversed(self._pieces) if piece[0] <= step), self._pieces[0])
        return planned + (step - begin) * (self.planned - planned) // (total - begin)

    def _reached(self, step: int) -> range:
        """Steps of the plan that ``step`` is the first to reach: one without a budget, else none, one or several."""
        return range(self.plan_at(step - 1) + 1, self.plan_at(step) + 1)

    def rest(self, step: int, most: int) -> list[Phase]:
        """Up to ``most`` phases after ``step``, evenly spread over the rest of the plan."""
        begin = self.plan_at(step)
        count = min(most, self.planned - begin)
        return [self._phase(step, begin + 1 + (self.planned - begin) * i // count) for i in range(count)]

    def _plan(self, total: int) -> None:
        """Scale everything to ``total`` steps."""
        settings = self.settings
        self.total = self.planned = total
        # Pieces of the map from steps to the plan: first step, its place in the plan, and last step of the run.
        self._pieces: list[tuple[int, int, int]] = [(0, 0, total)]
        self.factor = total / settings.iterations
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
        # Of the full schedule's densifications, one in this run stands for so many: shortest_densify_every thins them.
        self.densify_weight = self.densify_every / (settings.densify_every * min(1.0, self.factor))
        self.densify_from = self._scaled(settings.densify_from, settings.shortest_densify_from)
        self.densify_until = self._scaled(settings.densify_until)
        self.opacity_reset_every = self._scaled(settings.opacity_reset_every, settings.shortest_opacity_reset_every)
        self.prune_big_from = self._scaled(settings.prune_big_from)

    def _scaled(self, steps: int, shortest: int = 1) -> int:
        """``steps`` of the full schedule, scaled to this run; a run that is not shortened keeps them exactly."""
        return steps if self.factor >= 1 else max(shortest, round(steps * self.factor))

    def at(self, step: int) -> Phase:
        """The phase of 1-based ``step``; steps beyond the end have that of the last step."""
        return self._phase(step, self.plan_at(step))

    def _phase(self, step: int, plan: int) -> Phase:
        """The phase of ``step`` at the place ``plan`` of the plan."""
        multi_scale = plan <= self.ms_steps
        clock = plan if multi_scale or not self.settings.restart else plan - self.ms_steps
        scale = sum(start <= plan for start in self.starts) - 1
        waits = multi_scale or self.settings.sharp_after_restart
        blur = clock > self.sharp_steps or not waits
        return Phase(step, clock, multi_scale, scale, self.divisors[scale], blur)

    @property
    def finest(self) -> int:
        """Index of the full training resolution."""
        return len(self.divisors) - 1

    def changes_scale(self, step: int) -> bool:
        """Whether ``step`` is the first at its resolution."""
        return any(plan in self.starts for plan in self._reached(step))

    def begins_single_scale(self, step: int) -> bool:
        """Whether ``step`` is the first after the multi-scale phase."""
        return self.ms_steps + 1 in self._reached(step)

    def restarts(self, step: int) -> bool:
        """Whether the clock restarts at ``step``."""
        return self.settings.restart and self.ms_steps > 0 and self.begins_single_scale(step)

    def sh_degree(self, step: int, largest: int) -> int:
        """Active degree: increases by one at each multiple of ``sh_every`` of the clock, and never decreases."""
        phase = self.at(step)
        first = 0 if phase.multi_scale or not self.settings.restart else self.ms_steps
        return min(largest, first // self.sh_every + phase.clock // self.sh_every)

    def position_rate(self, step: int, first: float, last: float) -> float:
        """Learning rate of positions: log-linear in the clock, from ``first`` to ``last``."""
        return _log_linear(min(1.0, self.at(step).clock / self.position_lr_steps), first, last)

    def rate_over_run(self, step: int, first: float, last: float) -> float:
        """Learning rate that changes over the whole run, log-linearly, from ``first`` to ``last``; both may be 0."""
        return _log_linear(self.plan_at(step) / self.planned, first, last) if first > 0 else 0.0

    def cooling(self, step: int) -> float:
        """Factor on all learning rates: 1, then log-linear down to ``cooldown_to`` over the run's last part."""
        length = self.settings.cooldown * self.planned
        part = max(0.0, 1 - (self.planned - self.plan_at(step)) / length) if length > 0 else 0.0
        return self.settings.cooldown_to**part

    def densifying(self, step: int) -> bool:
        """Whether screen-space gradients are accumulated at ``step``; not at the last, which is too late."""
        return self.at(step).clock < self.densify_until and step < self.total

    def densifies(self, step: int) -> bool:
        """Whether Gaussians are cloned, split and pruned at ``step``."""
        return self.densifying(step) and any(
            clock > self.densify_from and clock % self.densify_every == 0 for clock in self._clocks(step)
        )

    def resets_opacity(self, step: int) -> bool:
        """Whether opacities are reset at ``step``; a shortened run never does so too late for them to recover."""
        recovers = self.factor >= 1 or self.planned - self.plan_at(step) >= self.settings.shortest_recovery
        due = any(clock % self.opacity_reset_every == 0 for clock in self._clocks(step))
        return self.densifying(step) and recovers and due

    def prunes_big(self, step: int) -> bool:
        """Whether pruning at ``step`` includes Gaussians that are too large in the world."""
        return self.at(step).clock > self.prune_big_from

    def refilters(self, step: int) -> bool:
        """Whether the 3D filter is recomputed after the edits of ``step``."""
        late = not self.densifying(step) and self.plan_at(step) < self.planned - 100
        return self.densifies(step) or (late and any(clock % self.filter_every == 0 for clock in self._clocks(step)))

    def _clocks(self, step: int) -> list[int]:
        """The clock at all steps of the plan that ``step`` is the first to reach."""
        return [self._phase(step, plan).clock for plan in self._reached(step)]


def _log_linear(part: float, first: float, last: float) -> float:
    """From ``first``, at ``part`` 0, to ``last``, at 1."""
    return math.exp((1 - part) * math.log(first) + part * math.log(last))
