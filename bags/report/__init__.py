"""The report of a run: what was wrong with each photo, and what became of the scene, in one HTML file."""

from bags.report.page import write_report
from bags.report.words import in_short

__all__ = ["in_short", "write_report"]
