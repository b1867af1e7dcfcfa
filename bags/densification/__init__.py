"""Adaptive density control: what is cloned, split and pruned, and the surgery that does it."""
