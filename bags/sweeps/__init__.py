"""Sweeps: the names of their jobs, what becomes of them, how many run at once (docs/clusters.md)."""
