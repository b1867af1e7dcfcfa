"""Sweeps: names of jobs, their outcomes, and how many run at once (docs/clusters.md)."""
