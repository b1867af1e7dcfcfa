"""Finished runs, collected into tables (docs/experiments.md)."""
