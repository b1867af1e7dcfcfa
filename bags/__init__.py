"""Blur Agnostic Gaussian Splatting: sharp 3D scenes from blurry photos.

Importing the package loads no native kernel and no CUDA extension.
"""

__version__ = "0.1.0"
