"""Tests, and the campaigns that are run as ``python -m tests.NAME``."""

import bags  # noqa: F401  before torch, whose idle threads would keep the cores busy otherwise
