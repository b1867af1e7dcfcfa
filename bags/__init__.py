"""Blur Agnostic Gaussian Splatting: sharp 3D scenes from blurry photos.

Importing the package loads no native kernels and no CUDA extensions.
"""

import os
import sys
import time

BEGAN = time.perf_counter()  # shortly after the command; a user's waiting time is measured from here

# torch reads it when it loads: its idle threads then sleep instead of occupying the cores that our kernels need.
TORCH_SPINS = "torch" in sys.modules and "OMP_WAIT_POLICY" not in os.environ
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
