"""How many steps fit into a time budget, from step times so far; a pure function, the time is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bags.schedule import Kind, Phase, ScaleSchedule

LOOKS = 20  # per budget: how often the time left is compared with the steps left
SURE = 3  # steps of a kind that are enough to go by
TOLERANCE = 0.01  # part of the budget; a run that will miss it by less is let be
SAMPLES = 200  # phases from which the cost of the rest of a run is estimated


class Pace:
    """Compares the time that is left with the steps that are left, and decides anew where they do not fit.

    A step costs what its kind does. That is measured before the run for every kind, and then again and again while it
    runs. For kinds still to come at the full resolution, the costs measured before are corrected by how much those
    there have turned out to differ (other load on the machine, more Gaussians than were thought). At coarse scales a
    step takes so little that such a ratio would say nothing.

    Args:
        schedule: of the run; decisions are handed to it.
        seconds: the budget.
        costs: seconds of a step of every kind in the schedule, measured before the run.
    """

    def __init__(self, schedule: ScaleSchedule, seconds: float, costs: Mapping[Kind, float]) -> None:
        self.schedule = schedule
        self.seconds = seconds
        self.costs = dict(costs)
        self._spent: dict[Kind, tuple[float, int]] = {}  # seconds and steps since the last look
        self._last = self._looked = 0.0

    def cost(self, step: int) -> float:
        """Seconds that a step takes, on average over those to come after ``step``."""
        rest = self.schedule.rest(step, SAMPLES)
        dearest = max(self.costs.values())  # for a kind that only a schedule of another length has
        return sum(self.costs.get(phase.kind, dearest) for phase in rest) / max(1, len(rest))

    def left(self, step: int) -> float:
        """Seconds to the end of the run after ``step``."""
        return (self.schedule.total - step) * self.cost(step)

    def fitting(self, step: int, now: float) -> int:
        """Steps of the whole run that fit, if ``step`` is done at second ``now`` of it; one more at least."""
        fit = (self.seconds - now) / self.cost(step)
        return min(self.schedule.longest, step + max(1, int(fit)))

    def begin(self, step: int, now: float, state: Mapping[str, Any] | None = None) -> None:
        """A session begins after ``step`` at second ``now`` of the run; ``state``: of the one before."""
        self._last = self._looked = now
        if state:
            self._looked, self._spent = state["looked"], dict(state["spent"])
        if not self.schedule.decisions:
            self.schedule.decide(step, self.fitting(step, now), self.cost(step))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, so that a resumed run looks at the clock when the unbroken one would."""
        return {"costs": dict(self.costs), "spent": dict(self._spent), "looked": self._looked}

    def passed(self, phase: Phase, now: float) -> bool:
        """The step ``phase`` is done at second ``now`` of the run.

        Returns:
            Was another number of steps decided?
        """
        seconds, steps = self._spent.get(phase.kind, (0.0, 0))
        self._spent[phase.kind] = seconds + now - self._last, steps + 1
        self._last = now
        after = phase.step + 1  # a loader may have the next step's view at hand already
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
        """Take over the costs measured since the last look."""
        sure = {kind: spent for kind, spent in self._spent.items() if spent[1] >= SURE}
        finest = {kind: spent for kind, spent in sure.items() if kind[0] == self.schedule.finest}
        thought = sum(steps * self.costs.get(kind, 0.0) for kind, (_, steps) in finest.items())
        if thought > 0:
            ratio = sum(seconds for seconds, _ in finest.values()) / thought
            self.costs |= {kind: cost * ratio for kind, cost in self.costs.items() if kind[0] == self.schedule.finest}
        self.costs |= {kind: seconds / steps for kind, (seconds, steps) in sure.items()}
        self._spent = {}
