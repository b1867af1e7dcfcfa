"""Shared by all tests: no network, idle threads sleep (as the command line sets it)."""

from __future__ import annotations

import os

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
