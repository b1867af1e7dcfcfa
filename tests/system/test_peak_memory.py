from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from bags.system.memory import gpu_memory_mb, peak_memory_mb, reset_peaks


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can be reset on Linux only")
def test_the_next_job_of_a_sweep_does_not_report_this_ones_memory() -> None:
    reset_peaks()
    before = peak_memory_mb()
    np.ones(200_000_000, np.uint8).sum()
    assert peak_memory_mb() > before + 150
    reset_peaks()
    assert peak_memory_mb() < before + 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_no_gpu_no_figure() -> None:
    assert gpu_memory_mb() is None
