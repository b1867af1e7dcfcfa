from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bags.errors import SettingError
from bags.schedule import ScaleSchedule
from bags.settings import ScheduleSettings

PAPER = ScheduleSettings(iterations=49_000, ms_steps=9_000)


def test_published_schedule_step_by_step() -> None:
    """docs/method.md section 4, at every boundary."""
    clock = ScaleSchedule(PAPER)
    assert clock.total == 49_000
    expected_divisor = {1: 4, 2999: 4, 3000: 2, 5999: 2, 6000: 1, 9000: 1, 9001: 1, 49_000: 1}
    assert {step: clock.at(step).divisor for step in expected_divisor} == expected_divisor
    assert not clock.at(250).blur and clock.at(251).blur
    assert clock.at(9000).multi_scale and clock.at(9000).clock == 9000
    assert not clock.at(9001).multi_scale and clock.at(9001).clock == 1
    assert clock.at(9000).blur and not clock.at(9001).blur and not clock.at(9250).blur and clock.at(9251).blur
    assert clock.restarts(9001) and not clock.restarts(9000)


def test_densification_window_restarts_with_the_clock() -> None:
    clock = ScaleSchedule(PAPER)
    due = [step for step in range(1, 49_001) if clock.densifies(step)]
    assert due[0] == 600 and 500 not in due
    assert [step for step in due if 9000 < step < 9700] == [9600]
    assert due[-1] == 9000 + 34_900
    resets = [step for step in range(1, 49_001) if clock.resets_opacity(step)]
    assert resets[:4] == [3000, 6000, 9000, 12_000]
    assert resets[-1] == 9000 + 33_000


def test_sh_degree_never_shrinks() -> None:
    clock = ScaleSchedule(ScheduleSettings(iterations=6000, ms_steps=1500))
    degrees = [clock.sh_degree(step, 3) for step in range(1, 6001)]
    assert degrees == sorted(degrees)
    assert clock.sh_degree(999, 3) == 0 and clock.sh_degree(1000, 3) == 1 and clock.sh_degree(1500, 3) == 1
    assert clock.sh_degree(2499, 3) == 1 and clock.sh_degree(2500, 3) == 2
    assert max(degrees) == 3 and max(clock.sh_degree(step, 1) for step in range(1, 6001)) == 1


def test_position_rate_is_log_linear_and_starts_over() -> None:
    clock = ScaleSchedule(PAPER)
    middle = clock.position_rate(9000 + 30_000, 1.6e-4, 1.6e-6)
    assert middle == pytest.approx(1.6e-5)
    assert clock.position_rate(9001, 1.6e-4, 1.6e-6) == pytest.approx(clock.position_rate(1, 1.6e-4, 1.6e-6))
    assert clock.position_rate(9000, 1.6e-4, 1.6e-6) == pytest.approx(1.6e-4 * math.exp(9000 / 60_000 * math.log(0.01)))


def test_short_run_scales_everything_by_one_factor() -> None:
    clock = ScaleSchedule(ScheduleSettings(iterations=49_000, ms_steps=9_000, steps=3000))
    assert clock.total == 3000
    assert clock.ms_steps == round(9000 * 3000 / 49_000)
    assert clock.starts == [1, 184, 367]
    assert clock.sharp_steps == 15
    assert clock.densify_every == 50 and clock.densify_from == 100 and clock.opacity_reset_every == 800
    assert clock.position_lr_steps == round(60_000 * 3000 / 49_000)
    resets = [step for step in range(1, 3001) if clock.resets_opacity(step)]
    assert resets == [clock.ms_steps + 800]


def test_last_step_is_never_edited() -> None:
    """The published code saves before it densifies: edits of the last step would never be trained."""
    clock = ScaleSchedule(ScheduleSettings(iterations=12_000, ms_steps=6000))
    assert not clock.densifies(12_000) and not clock.resets_opacity(12_000)
    assert clock.resets_opacity(9000)


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_tiny_runs_visit_scales_in_order(steps: int) -> None:
    clock = ScaleSchedule(ScheduleSettings(iterations=49_000, ms_steps=9_000, steps=steps))
    divisors = [clock.at(step).divisor for step in range(1, steps + 1)]
    assert divisors == sorted(divisors, reverse=True) and divisors[0] == 4


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ms_steps": 50_000}, "schedule.ms_steps"),
        ({"steps": 0}, "schedule.steps"),
        ({"scale_starts": (1, 500, 400)}, "schedule.scale_starts"),
        ({"scale_starts": (1, 500)}, "schedule.scale_starts"),
        ({"scale_divisors": (1, 2, 4)}, "schedule.scale_divisors"),
        ({"densify_every": 0}, "schedule.densify_every"),
    ],
)
def test_impossible_schedules_name_their_key(change: dict[str, object], key: str) -> None:
    with pytest.raises(SettingError, match=key.replace(".", r"\.")):
        ScheduleSettings(**{"iterations": 49_000, "ms_steps": 9_000, **change})  # type: ignore[arg-type]


def test_no_opacity_reset_so_late_that_the_run_ends_before_it_recovers() -> None:
    """Resets 500 and 850 steps before the end of 3000 step runs still showed in their last test views."""
    clock = ScaleSchedule(ScheduleSettings(iterations=30_000, ms_steps=9_000, steps=3000))
    assert [step for step in range(1, 3001) if clock.resets_opacity(step)] == [800, 1700]


def test_cooldown_shrinks_rates_over_the_last_part_only() -> None:
    clock = ScaleSchedule(ScheduleSettings(iterations=1000, ms_steps=100, cooldown=0.2, cooldown_to=0.01))
    assert clock.cooling(1) == clock.cooling(800) == 1.0
    assert clock.cooling(900) == pytest.approx(0.1) and clock.cooling(1000) == pytest.approx(0.01)
    assert all(ScaleSchedule(PAPER).cooling(step) == 1.0 for step in (1, 25_000, 49_000))


def test_without_coarse_to_fine_every_step_is_at_full_resolution() -> None:
    clock, usual = (ScaleSchedule(replace(PAPER, coarse_to_fine=on)) for on in (False, True))
    for step in (1, 2999, 3000, 9000, 9001, 49_000):
        assert clock.at(step) == replace(usual.at(step), scale=2, divisor=1)
    assert [step for step in range(1, 10_000) if clock.changes_scale(step)] == [1]


def test_without_restart_the_clock_goes_on() -> None:
    clock, usual = (ScaleSchedule(replace(PAPER, restart=on)) for on in (False, True))
    assert not any(clock.restarts(step) for step in range(1, 49_001))
    for step in (1, 9000):
        assert clock.at(step) == usual.at(step)
    for step in (9001, 49_000):
        assert clock.at(step) == replace(usual.at(step), clock=step, blur=True)
    assert clock.position_rate(9001, 1.6e-4, 1.6e-6) < clock.position_rate(9000, 1.6e-4, 1.6e-6)
    assert [clock.sh_degree(step, 9) for step in (8999, 9000, 9999, 10_000)] == [8, 9, 9, 9]
    assert [step for step in range(8000, 49_001) if clock.densifies(step)][-1] == 34_900
