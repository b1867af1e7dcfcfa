"""Shared by all tests: no network, idle threads sleep (as the command line sets it), Ctrl-C is heard."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A shell has its background jobs ignore it, the programs that the tests start would inherit that, and keep it.
signal.signal(signal.SIGINT, signal.default_int_handler)
