"""Data sets on disk, read into a ``Scene``."""
