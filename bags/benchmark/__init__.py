"""Measures speed and memory of our kernels, compared with plain PyTorch, in one run."""
