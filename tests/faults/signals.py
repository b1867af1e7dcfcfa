"""SIGTERM, SIGINT and SIGUSR1 before, in and after training: a checkpoint, a tidy end, and the same command goes on."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.faults.runs import STEPS, Run, difference, kept, unbroken
from tests.faults.tally import Tally
from tests.faults.trouble import SignalAt

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
JUDGING = STEPS + 1  # a moment: after the last step, while metrics are computed and pictures written
MOMENTS = (0, 1, 20, 105, STEPS, JUDGING)  # 0: before the first step; 20: a change of scale; 105: an opacity reset


def run(count: int, seed: int, folder: Path, progress: Callable[[int], None] | None = None) -> Tally:
    """Send ``count`` signals, one a run: every signal at every moment, in random order."""
    reference = unbroken(folder)
    cases = list(itertools.product(SIGNALS, MOMENTS))
    Random(seed).shuffle(cases)
    lost = []
    for done, (number, moment) in enumerate(cases[:count], start=1):
        place = folder / f"{number.name}_{moment}"
        if wrong := survives(place, number, moment, reference):
            when = "while judging" if moment == JUDGING else f"at step {moment}"
            lost.append(f"{number.name} {when}: {wrong} (files: {place})")
        if progress:
            progress(done)
    tried = len(cases[:count])
    return Tally("SIGTERM, SIGINT, SIGUSR1", tried, tried - len(lost), lost)


def survives(folder: Path, number: signal.Signals, moment: int, reference: Path) -> str | None:
    """What is wrong with a run that is sent a signal, or with how it goes on; None: nothing."""
    signalled = Run(folder, injected=[SignalAt(number, moment)])
    if moment == JUDGING:
        while not signalled.over and not list((signalled.folder / "test").rglob("*.png")):
            time.sleep(2e-4)
        signalled.send(number)
    status = signalled.wait()
    if wrong := tidy(signalled, status, number, min(moment, STEPS)):
        return wrong
    goes_on = Run(folder)
    if status := goes_on.wait():
        return f"going on, it ended with {status}: {goes_on.said[-500:]}"
    if moment and "resuming from" not in goes_on.said:
        return "it began anew"
    return difference(reference, goes_on.folder)


def tidy(stopped: Run, status: int, number: signal.Signals, step: int) -> str | None:
    """What is wrong with how a run ended that was asked to at ``step``; None: nothing."""
    if status != 128 + number:
        return f"exit status {status}, not {128 + number}: {stopped.said[-500:]}"
    if "Traceback" in stopped.said:
        return f"ended with a traceback: {stopped.said[-500:]}"
    if "resume with the same command" not in stopped.said:
        return f"does not say how to go on: {stopped.said[-500:]}"
    at, damaged = kept(stopped.folder)
    if at != step or damaged:
        return f"kept step {at}, not {step} {damaged}"
    return None
