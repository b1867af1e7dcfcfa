"""Shared by all tests: the same surroundings everywhere, and idle threads sleep (as the command line sets it)."""

from __future__ import annotations

import os

from tests.surroundings import settle

os.environ["OMP_WAIT_POLICY"] = "passive"
settle()
