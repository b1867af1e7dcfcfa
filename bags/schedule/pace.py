"""How many steps fit into a time budget, from the step times so far. Times are passed in, so there is no clock here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bags.schedule import Kind, Phase, ScaleSchedule

LOOKS = 20  # checks per budget of the remaining time against the remaining steps
SURE = 3  # steps of a kind that give a reliable time
TOLERANCE = 0.01  # deviation from the budget, as a fraction of it, that needs no new decision
SAMPLES = 200  # phases from which the cost of the rest of a run is estimated


class Pace:
    """Compares the remaining time with the remaining steps, and changes the number of steps if they do not match.

    The cost of a step depends on its kind. It is measured before the run for every kind, and repeatedly during the run.
    For kinds that are still to come at the full resolution, the first measurements are corrected by the ratio observed
    for kinds that have run at that resolution (other load on the machine, more Gaussians than expected). Steps at
    coarse scales are so short that such a ratio would not be meaningful.

    Args:
        schedule: of the run; receives the decisions.
        seconds: the budget.
        costs: seconds of a step of every kind in the schedule, measured before the run.
    """

    def __init__(self, schedule: ScaleSchedule, seconds: float, costs: Mapping[Kind, float]) -> None:
        self.schedule = schedule
        self.seconds = seconds
        self.costs = dict(costs)
        self._spent: dict[Kind, tuple[float, int]] = {}  # seconds and steps since the last check
        self._last = self._looked = 0.0

    def cost(self, step: int) -> float:
        """Seconds of a step, averaged over those after ``step``."""
        rest = self.schedule.rest(step, SAMPLES)
        dearest = max(self.costs.values())  # for kinds that only a schedule of another length has
        return sum(self.costs.get(phase.kind, dearest) for phase in rest) / max(1, len(rest))

    def left(self, step: int) -> float:
        """Seconds from ``step`` to the end of the run."""
        return (self.schedule.total - step) * self.cost(step)

    def fitting(self, step: int, now: float) -> int:
        """Number of steps of the whole run that fits, if ``step`` ended at second ``now``; at least ``step + 1``."""
        fit = (self.seconds - now) / self.cost(step)
        return min(self.schedule.longest, step + max(1, int(fit)))

    def begin(self, step: int, now: float, state: Mapping[str, Any] | None = None) -> None:
        """Start a session after ``step``, at second ``now`` of the run; ``state`` is that of the previous session."""
        self._last = self._looked = now
        if state:
            self._looked, self._spent = state["looked"], dict(state["spent"])
        if not self.schedule.decisions:
            self.schedule.decide(step, self.fitting(step, now), self.cost(step))

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, so that a resumed run makes its checks at the same times as an uninterrupted one."""
        return {"costs": dict(self.costs), "spent": dict(self._spent), "looked": self._looked}

    def passed(self, phase: Phase, now: float) -> bool:
        """Record that the step ``phase`` ended at second ``now`` of the run, and check the number of steps if due.

        Returns:
            Whether the number of steps was changed.
        """
        seconds, steps = self._spent.get(phase.kind, (0.0, 0))
        self._spent[phase.kind] = seconds + now - self._last, steps + 1
        self._last = now
        after = phase.step + 1  # the loader may have loaded the next step's view already
        if now - self._looked < self.seconds / LOOKS or after >= self.schedule.total:
            return False
        self._looked = now
        self._learn()
        total, seconds = self.fitting(after, now + self.cost(phase.step)), self.cost(after)
        if abs(total - self.schedule.total) * seconds <= TOLERANCE * self.seconds:
            return False
        self.schedule.decide(after, total, seconds)
        return True

    def _learn(self) -> None:
        """Update the costs by those measured since the last check."""
        sure = {kind: spent for kind, spent in self._spent.items() if spent[1] >= SURE}
        finest = {kind: spent for kind, spent in sure.items() if kind[0] == self.schedule.finest}
        thought = sum(steps * self.costs.get(kind, 0.0) for kind, (_, steps) in finest.items())
        if thought > 0:
            ratio = sum(seconds for seconds, _ in finest.values()) / thought
            self.costs |= {kind: cost * ratio for kind, cost in self.costs.items() if kind[0] == self.schedule.finest}
        self.costs |= {kind: seconds / steps for kind, (seconds, steps) in sure.items()}
        self._spent = {}
