"""Adaptive density control: who is cloned, split and pruned, and the surgery that does it."""
