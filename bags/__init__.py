"""Blur Agnostic Gaussian Splatting: sharp 3D scenes from blurry photos.

Importing the package loads no native kernel and no CUDA extension.
"""

import time

BEGAN = time.perf_counter()  # moments after the command; how long a user waits is counted from here

__version__ = "0.1.0"
