"""The same surroundings for what is tested on every machine, and for the programs that the tests start."""

from __future__ import annotations

import os
import re
import signal

from bags.system.signals import SIGNALS

# What a terminal, a proxy, or a job of a cluster tells the programs below it: rich, Hydra, Lightning and wandb heed it;
# and selenium's own (SE_CHROMEDRIVER is another driver than the one that was asked for).
TOLD = re.compile(
    r"TERM|COLORTERM|FORCE_COLOR|NO_COLOR|COLUMNS|LINES|(TTY|JUPYTER)_.*|.*_proxy"
    r"|(SLURM|HYDRA|PL|WANDB|SE)_.*|((LOCAL|NODE|GROUP)_)?RANK|WORLD_SIZE|MASTER_(ADDR|PORT)",
    re.IGNORECASE,
)


def settle() -> None:
    """Let this process, and those that it starts, see no terminal, proxy or cluster, and hear what asks to stop."""
    for name in filter(TOLD.fullmatch, list(os.environ)):
        del os.environ[name]
    os.environ["WANDB_MODE"] = "offline"
    # A shell has its background jobs ignore SIGINT, a scheduler its own warnings; the programs we start would, too.
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
