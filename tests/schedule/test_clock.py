from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    clock, hundreds = ScaleSchedule(PAPER), range(100, 49_001, 100)  # test_laws_of_every_schedule: at no other steps
    due = [step for step in hundreds if clock.densifies(step)]
    assert due[0] == 600 and 500 not in due
    assert [step for step in due if 9000 < step < 9700] == [9600]
    assert due[-1] == 9000 + 34_900
    resets = [step for step in hundreds if clock.resets_opacity(step)]
    assert resets[:4] == [3000, 6000, 9000, 12_000]
    assert resets[-1] == 9000 + 33_000


def test_large_ones_are_pruned_from_a_clock_on_and_the_filter_follows_nearly_to_the_end() -> None:
    clock = ScaleSchedule(PAPER)
    large = {3000: False, 3001: True, 9000: True, 9001: False, 12_000: False, 12_001: True, 49_000: True}
    assert {step: clock.prunes_big(step) for step in large} == large
    assert [step for step in range(43_000, 49_001) if clock.refilters(step)] == list(range(43_000, 48_900, 100))


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


def test_rate_over_the_run_is_log_linear_and_does_not_start_over() -> None:
    clock = ScaleSchedule(PAPER)
    assert clock.rate_over_run(24_500, 0.2, 0.002) == pytest.approx(0.02)
    assert clock.rate_over_run(49_000, 0.2, 0.002) == pytest.approx(0.002)
    assert clock.rate_over_run(9001, 0.2, 0.002) < clock.rate_over_run(9000, 0.2, 0.002)
    assert clock.rate_over_run(1, 0.0, 0.0) == 0


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


def test_impossible_schedules_name_their_key(subtests: pytest.Subtests) -> None:
    for change, key in [
        ({"ms_steps": 50_000}, "schedule.ms_steps"),
        ({"steps": 0}, "schedule.steps"),
        ({"scale_starts": (1, 500, 400)}, "schedule.scale_starts"),
        ({"scale_starts": (1, 500)}, "schedule.scale_starts"),
        ({"scale_divisors": (1, 2, 4)}, "schedule.scale_divisors"),
        ({"densify_every": 0}, "schedule.densify_every"),
    ]:
        with subtests.test(key), pytest.raises(SettingError, match=key.replace(".", r"\.")):
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
    assert not any(clock.restarts(step) for step in (1, 9000, 9001, 49_000))
    assert [step for step in (1, 9000, 9001, 49_000) if clock.begins_single_scale(step)] == [9001]
    assert ScaleSchedule(replace(PAPER, ms_steps=0)).begins_single_scale(1)  # there is no multi-scale phase
    for step in (1, 9000):
        assert clock.at(step) == usual.at(step)
    for step in (9001, 49_000):
        assert clock.at(step) == replace(usual.at(step), clock=step, blur=True)
    assert clock.position_rate(9001, 1.6e-4, 1.6e-6) < clock.position_rate(9000, 1.6e-4, 1.6e-6)
    assert [clock.sh_degree(step, 9) for step in (8999, 9000, 9999, 10_000)] == [8, 9, 9, 9]
    assert [step for step in range(8000, 49_001, 100) if clock.densifies(step)][-1] == 34_900


schedules = st.builds(
    ScheduleSettings,
    iterations=st.integers(300, 600),
    ms_steps=st.integers(0, 300),
    steps=st.none() | st.integers(1, 600),
    scale_starts=st.sampled_from([(1, 50, 100), (1, 2, 3), (1, 100, 400)]),
    coarse_to_fine=st.booleans(),
    restart=st.booleans(),
    sharp_steps=st.integers(0, 60),
    sharp_after_restart=st.booleans(),
    cooldown=st.floats(0, 1),
    sh_every=st.integers(1, 200),
    position_lr_steps=st.integers(1, 900),
    densify_from=st.integers(0, 100),
    densify_every=st.integers(1, 40),
    densify_until=st.integers(0, 700),
    filter_every=st.integers(1, 200),
    prune_big_from=st.integers(1, 500),
    opacity_reset_every=st.integers(1, 200),
    shortest_densify_every=st.integers(1, 30),
    shortest_opacity_reset_every=st.integers(1, 90),
    shortest_recovery=st.integers(0, 150),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(schedules)
def test_laws_of_every_schedule(chosen: ScheduleSettings) -> None:
    clock = ScaleSchedule(chosen)
    steps = range(1, clock.total + 1)
    phases = [clock.at(step) for step in steps]
    assert clock.total == (chosen.steps or chosen.iterations) and [phase.step for phase in phases] == list(steps)

    # Scales go from coarse to fine, each from its start on; the clock counts and starts over once at most.
    divisors = [phase.divisor for phase in phases]
    assert divisors == sorted(divisors, reverse=True) and divisors[0] == (4 if chosen.coarse_to_fine else 1)
    falls = [step for step, before, here in zip(steps[1:], divisors, divisors[1:], strict=False) if here < before]
    assert [1, *falls] == [step for step in steps if clock.changes_scale(step)]
    jumps = [phase.clock - before.clock for before, phase in pairwise(phases)]
    assert phases[0].clock == 1 and all(jump == 1 for jump in jumps if jump > 0) and sum(j <= 0 for j in jumps) <= 1
    assert [step for step in steps[1:] if jumps[step - 2] != 1] == [s for s in steps if clock.restarts(s) and jumps]
    assert [phase.multi_scale for phase in phases] == [step <= clock.ms_steps for step in steps]
    for phase in phases:
        waits = phase.multi_scale or chosen.sharp_after_restart
        assert phase.blur == (phase.clock > clock.sharp_steps or not waits)

    # Rates and degrees: monotone where nothing starts over, and within their bounds.
    degrees = [clock.sh_degree(step, 3) for step in steps]
    assert degrees == sorted(degrees) and degrees[-1] <= 3
    assert all(b - a <= 1 for a, b in pairwise(degrees)) or clock.sh_every == 1
    rates = [clock.position_rate(step, 1e-2, 1e-4) for step in steps]
    assert all(1e-4 * 0.999 <= rate <= 1e-2 for rate in rates)
    assert all(b <= a for a, b, jump in zip(rates, rates[1:], jumps, strict=False) if jump == 1)
    cooling = [clock.cooling(step) for step in steps]
    assert cooling == sorted(cooling, reverse=True) and cooling[0] <= 1
    assert cooling[-1] == pytest.approx(chosen.cooldown_to if chosen.cooldown > 0 else 1)

    # Edits: at multiples within their window, never at the last step; in a shortened run neither too close together nor
    # too late to recover from.
    edits = [phase for phase in phases if phase.clock < clock.densify_until and phase.step < clock.total]
    assert [step for step in steps if clock.densifying(step)] == [phase.step for phase in edits]
    densified = [p.step for p in edits if p.clock > clock.densify_from and p.clock % clock.densify_every == 0]
    assert [step for step in steps if clock.densifies(step)] == densified
    late = {p.step for p in phases if p.clock % clock.filter_every == 0 and p.step < clock.total - 100}
    late -= {phase.step for phase in edits}
    assert [step for step in steps if clock.refilters(step)] == sorted({*densified, *late})
    assert [clock.prunes_big(p.step) for p in phases] == [p.clock > clock.prune_big_from for p in phases]
    shortened = clock.total < chosen.iterations
    last = clock.total - chosen.shortest_recovery if shortened else clock.total
    resets = [p.step for p in edits if p.clock % clock.opacity_reset_every == 0 and p.step <= last]
    assert [step for step in steps if clock.resets_opacity(step)] == resets
    if shortened:
        assert clock.densify_every >= chosen.shortest_densify_every
        assert clock.opacity_reset_every >= chosen.shortest_opacity_reset_every
