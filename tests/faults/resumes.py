"""A run that stops at chosen steps and goes on in a new process: nothing shows.

Chosen are the steps right before and after everything that happens in a run: changes of scale, the clock's restart,
densification, opacity resets, a new degree of the spherical harmonics; and the first step and the last ones.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

from bags.schedule import ScaleSchedule
from tests.faults.runs import Run, difference, kept, schedule, unbroken
from tests.faults.tally import Tally
from tests.faults.trouble import SignalAt


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Stop at ``count`` steps, one a run, go on in a new process, and compare with the unbroken run."""
    reference, steps = unbroken(folder), chosen(schedule(), count, Random(seed))
    lost = []
    for done, step in enumerate(steps, start=1):
        place = folder / f"resumed_{step}"
        if wrong := resumed(place, step, reference):
            lost.append(f"step {step}: {wrong} (files: {place})")
        if progress:
            progress(done)
    return Tally("stop, and resume in a new process", len(steps), len(steps) - len(lost), lost)


def resumed(folder: Path, step: int, reference: Path) -> str | None:
    """What is wrong with a run that stopped after ``step`` and went on; None: nothing."""
    stopped = Run(folder, injected=[SignalAt(signal.SIGTERM, step)])
    stopped.wait()
    if (at := kept(stopped.folder)[0]) != step:
        return f"stopped with a checkpoint of step {at}"
    goes_on = Run(folder)
    if status := goes_on.wait():
        return f"going on, it ended with {status}: {goes_on.said[-500:]}"
    if "resuming from" not in goes_on.said:
        return "it began anew"
    return difference(reference, goes_on.folder)


def chosen(schedule: ScaleSchedule, count: int, random: Random) -> list[int]:
    """``count`` of the steps around events; where those are fewer, others to fill up."""
    steps = range(1, schedule.total + 1)
    firsts = [
        *schedule.starts[1:],
        schedule.ms_steps + 1,
        *[next(s for s in steps if schedule.densifies(s) and s > after) for after in (0, schedule.ms_steps)],
        *[s for s in steps if schedule.resets_opacity(s)],
        next(s for s in steps if schedule.sh_degree(s, 3) == 2),
    ]
    events = {1, schedule.total - 1, schedule.total, *firsts, *(first - 1 for first in firsts)}
    others = sorted(set(steps) - events)
    fill = random.sample(others, max(0, count - len(events)))
    return sorted(random.sample(sorted(events), min(count, len(events))) + fill)
