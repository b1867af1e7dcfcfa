"""A time budget by a clock that is told what steps take: the run ends when it should, whatever the machine does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, pairwise, product

import pytest

from bags.errors import SettingError
from bags.schedule import Phase, ScaleSchedule
from bags.schedule.pace import Pace
from bags.settings import ScheduleSettings

MINUTES = 10.0
SETTINGS = ScheduleSettings(minutes=MINUTES, cooldown=0.25, sharp_after_restart=False)
COARSE_TO_FINE = (0.05, 0.2, 1.0)  # of a step's cost at full resolution


def cost(phase: Phase, finest: float) -> float:
    """A step without blur takes a fifth."""
    return finest * COARSE_TO_FINE[phase.scale] * (1.0 if phase.blur else 0.2)


def train(
    measured: float, real: Callable[[Phase, float], float], settings: ScheduleSettings = SETTINGS
) -> tuple[ScaleSchedule, float, list[Phase]]:
    """Seconds of a step as measured before, and as they come; the schedule, the time at the end, every phase."""
    schedule = ScaleSchedule(settings)
    costs = {phase.kind: cost(phase, measured) for phase in schedule.rest(0, schedule.planned)}
    assert settings.minutes
    pace = Pace(schedule, 60 * settings.minutes, costs)
    now = 7.0  # of measuring
    pace.begin(0, now)
    phases: list[Phase] = []
    while len(phases) < schedule.total:
        phase = schedule.at(len(phases) + 1)
        now += real(phase, now)
        phases.append(phase)
        pace.passed(phase, now)
    return schedule, now, phases


def slower(finest: float, factor: float, since: float = 0.0) -> Callable[[Phase, float], float]:
    """``since`` a part of the budget, a step takes ``factor`` times as long."""
    return lambda phase, now: cost(phase, finest) * (factor if now >= since * 60 * MINUTES else 1.0)


def test_steady_machine_needs_one_decision(subtests: pytest.Subtests) -> None:
    for finest in [0.02, 0.1, 0.4, 1.5]:
        with subtests.test(finest=finest):
            schedule, now, _ = train(finest, slower(finest, 1.0))
            assert len(schedule.decisions) == 1
            assert now == pytest.approx(60 * MINUTES if finest > 0.025 else 7 + 30_000 * 0.1 * 0.02 * 8.25, rel=0.02)


def test_a_speed_that_changes_midway_ends_in_time(subtests: pytest.Subtests) -> None:
    """``since`` a part of the budget, all takes ``factor`` times as long: other load, or more Gaussians."""
    changes = product([0.5, 0.8, 1.3, 3.0], [0.0, 0.3, 0.7, 0.93])
    for finest, (factor, since) in zip(cycle([0.1, 0.4, 1.2]), changes, strict=False):
        with subtests.test(finest=finest, factor=factor, since=since):
            schedule, now, phases = train(finest, slower(finest, factor, since))
            assert now == pytest.approx(60 * MINUTES, rel=0.1)
            assert schedule.total == len(phases)
            divisors, clocks = [phase.divisor for phase in phases], [phase.clock for phase in phases]
            assert divisors == sorted(divisors, reverse=True) and divisors[-1] == 1
            falls = [step for step, (one, next_) in enumerate(pairwise(clocks), 2) if next_ < one]
            restarts = [step for step in range(1, schedule.total + 1) if schedule.restarts(step)]
            assert falls == restarts and len(falls) == 1
            assert schedule.plan_at(schedule.total) == schedule.planned > schedule.plan_at(schedule.total - 1)


def test_gaussians_that_grow_slow_it_down_all_the_way() -> None:
    _, now, _ = train(0.2, lambda phase, now: cost(phase, 0.15) * (1 + now / 300))
    assert now == pytest.approx(60 * MINUTES, rel=0.05)


def test_few_long_steps_do_not_exceed_the_budget() -> None:
    """When a decision is made, the next step's view is loaded already; that step takes time, too."""
    schedule, now, step = ScaleSchedule(SETTINGS), 0.0, 0
    pace = Pace(schedule, 600, {phase.kind: 3.5 for phase in schedule.rest(0, schedule.planned)})
    pace.begin(0, now)
    while step < schedule.total:
        step, now = step + 1, now + 7
        pace.passed(schedule.at(step), now)
    assert 600 - 7 < now <= 600


def test_the_published_schedule_is_the_longest() -> None:
    schedule, now, _ = train(0.001, lambda phase, _: cost(phase, 0.001))
    assert schedule.total == 30_000 and schedule.factor == 1 and now < 60
    plain = ScaleSchedule(ScheduleSettings(cooldown=0.25, sharp_after_restart=False))
    for step in (1, 2999, 3000, 9000, 9001, 9600, 12_000, 29_999, 30_000):
        assert schedule.at(step) == plain.at(step)
        for ask in ("densifies", "resets_opacity", "refilters", "changes_scale", "restarts", "cooling"):
            assert getattr(schedule, ask)(step) == getattr(plain, ask)(step), (ask, step)


def test_the_first_decision_is_the_plan_that_as_many_steps_would_be() -> None:
    schedule, plain = ScaleSchedule(SETTINGS), ScaleSchedule(ScheduleSettings(steps=2000, cooldown=0.25))
    schedule.decide(0, 2000, 0.3)
    for ask in ("densifies", "resets_opacity", "refilters", "changes_scale", "restarts", "cooling", "prunes_big"):
        assert [getattr(schedule, ask)(step) for step in range(1, 2001)] == [
            getattr(plain, ask)(step) for step in range(1, 2001)
        ]


def test_what_is_left_of_the_plan_is_stretched_or_squeezed(subtests: pytest.Subtests) -> None:
    """Every event of the plan takes place once, in its place; what is behind a decision stays."""
    for total in [1100, 1300, 1999, 2001, 4321]:
        with subtests.test(total=total):
            schedule, plain = ScaleSchedule(SETTINGS), ScaleSchedule(ScheduleSettings(steps=2000, cooldown=0.25))
            schedule.decide(0, 2000, 0.3)
            schedule.decide(1000, total, 0.3)
            assert schedule.total == total and schedule.planned == 2000
            assert [schedule.plan_at(step) for step in range(1, 1001)] == list(range(1, 1001))
            plans = [schedule.plan_at(step) for step in range(1000, total + 1)]
            assert plans == sorted(plans) and plans[-1] == 2000
            for ask in ("densifies", "resets_opacity", "changes_scale", "restarts"):
                due = [step for step in range(1, total + 1) if getattr(schedule, ask)(step)]
                planned = [step for step in range(1, 2001) if getattr(plain, ask)(step)]
                first = {
                    plan: next(step for step in range(1, total + 1) if schedule.plan_at(step) >= plan)
                    for plan in planned
                }
                assert due == sorted(set(first.values()) - ({total} if ask == "densifies" else set())), ask
                assert [step for step in due if step <= 1000] == [step for step in planned if step <= 1000]
            assert schedule.cooling(total) == plain.cooling(2000) == pytest.approx(0.1)


def test_decisions_are_taken_from_a_checkpoint_or_refused() -> None:
    schedule, again = ScaleSchedule(SETTINGS), ScaleSchedule(SETTINGS)
    for decision in ((0, 2000, 0.3), (900, 1500, 0.4), (1200, 1450, 0.45)):
        schedule.decide(*decision)
    again.decide(0, 77, 1.0)
    again.restore([list(decision) for decision in schedule.decisions])
    assert again.decisions == schedule.decisions and again.total == 1450
    assert [again.at(step) for step in range(1, 1451)] == [schedule.at(step) for step in range(1, 1451)]
    for wrong in ([(0, 10**6, 1)], [(0, 50, 1), (60, 90, 1)], [(0, 50, 1), (0, 40, 1)], [(-3, 20, 1)], [(5, 5, 1)]):
        with pytest.raises(ValueError, match="a run of"):
            again.restore(wrong)
    steps = ScaleSchedule(ScheduleSettings(steps=300))
    steps.restore(schedule.decisions)
    assert steps.decisions == [] and steps.total == 300, "who names the steps has them"


def test_a_budget_goes_without_a_number_of_steps() -> None:
    with pytest.raises(SettingError, match=r"schedule\.minutes = 10: schedule\.steps = 300 already .*steps=null"):
        ScheduleSettings(minutes=10, steps=300)
    for wrong in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(SettingError, match=r"schedule\.minutes"):
            ScheduleSettings(minutes=wrong)
