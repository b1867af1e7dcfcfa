"""Blur Agnostic Gaussian Splatting: sharp 3D scenes from blurry photos.

Importing the package loads no native kernel and no CUDA extension.
"""

import os
import sys
import time

BEGAN = time.perf_counter()  # moments after the command; how long a user waits is counted from here

# Read when torch loads: with it torch's idle threads sleep instead of keeping the cores that our kernels' threads need.
TORCH_SPINS = "torch" in sys.modules and "OMP_WAIT_POLICY" not in os.environ
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
