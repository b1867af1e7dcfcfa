"""What happens when: the section ``schedule``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, setting, such_that, within


@dataclass(frozen=True)
class ScheduleSettings(Section, key="schedule"):
    """What happens when (section 4). All numbers are optimiser steps of the full schedule.

    ``steps``, or those that fit into ``minutes``, shorten the whole schedule by the factor ``steps / iterations``; the
    ``shortest_*`` limits keep a short run from densifying or resetting too often.

    Attributes:
        iterations: steps of both phases together.
        ms_steps: steps of the multi-scale phase; after it the schedule's clock restarts from 1.
        steps: steps to run, with everything scaled; null: ``iterations``, or as ``minutes`` says.
        minutes: time that training may take on this machine; as many steps are run as fit, at most ``iterations``, as
            with ``steps`` (docs/experiments.md).
        scale_divisors: the training resolution is divided by these, coarse to fine.
        scale_starts: first step at each of the scales (1-based).
        coarse_to_fine: go through the scales; otherwise every step is at the last one, with its kernel.
        shuffle: use every view once before any is used again; else each step's view is drawn with replacement, as
            published.
        sharp_steps: steps without the blur model at the start of the clock.
        restart: let the clock start over after the multi-scale phase.
        sharp_after_restart: also leave out blur for ``sharp_steps`` after the restart, as published.
        position_lr_steps: length of the position rate's decay.
        cooldown: fraction of the run, at its end, over which all learning rates shrink (published: 0).
        cooldown_to: factor of the rates at the last step, log-linear from 1.
        sh_every: steps per degree of the spherical harmonics.
        densify_from, densify_until, densify_every: densify at multiples of ``densify_every`` strictly between the other
            two.
        opacity_reset_every: reset opacities at its multiples, while densification goes on.
        prune_big_from: Gaussians that are too large in the world are pruned after this step.
        filter_every: recompute the 3D filter this often after densification has ended.
        shortest_densify_every, shortest_densify_from, shortest_opacity_reset_every: lower limits of scaled schedules.
        shortest_recovery: a shortened run resets no opacities in this many last steps.
    """

    iterations: int = setting(30_000, at_least(1))
    ms_steps: int = setting(9_000, at_least(0))
    steps: int | None = setting(None, at_least(1))
    minutes: float | None = setting(
        None, such_that(lambda minutes: 0 < minutes <= 100_000, "must be above 0, at most 100,000")
    )
    scale_divisors: tuple[int, ...] = (4, 2, 1)
    scale_starts: tuple[int, ...] = (1, 3000, 6000)
    coarse_to_fine: bool = True
    shuffle: bool = False
    sharp_steps: int = setting(250, at_least(0))
    restart: bool = True
    sharp_after_restart: bool = True
    position_lr_steps: int = setting(60_000, at_least(1))
    cooldown: float = setting(0.0, within(0, 1, "must be a fraction of the run: 0 to 1"))
    cooldown_to: float = setting(0.1, such_that(lambda factor: 0 < factor <= 1, "must be above 0 and at most 1"))
    sh_every: int = setting(1000, at_least(1))
    densify_from: int = setting(500, at_least(0))
    densify_until: int = setting(35_000, at_least(0))
    densify_every: int = setting(100, at_least(1))
    opacity_reset_every: int = setting(3000, at_least(1))
    prune_big_from: int = setting(3000, at_least(0))
    filter_every: int = setting(100, at_least(1))
    shortest_densify_every: int = setting(50, at_least(1))
    shortest_densify_from: int = setting(100, at_least(0))
    shortest_opacity_reset_every: int = setting(800, at_least(1))
    shortest_recovery: int = setting(1200, at_least(0))

    def _check(self) -> None:
        if self.minutes is not None:
            remedy = f"schedule.steps = {self.steps} already sets the length; add schedule.steps=null"
            self.need(self.steps is None, "minutes", remedy)
        whole = f"must not exceed schedule.iterations ({self.iterations})"
        self.need(self.ms_steps <= self.iterations, "ms_steps", whole)
        starts, divisors = list(self.scale_starts), list(self.scale_divisors)
        one_each = f"needs one entry per scale divisor {tuple(divisors)}"
        self.need(len(starts) == len(divisors) >= 1, "scale_starts", one_each)
        rises = starts[0] == 1 and starts == sorted(set(starts))
        self.need(rises, "scale_starts", "must begin at 1 and increase")
        falls = min(divisors) >= 1 and divisors == sorted(divisors, reverse=True)
        self.need(falls, "scale_divisors", "must go from coarse (large) to fine, all 1 or more")
