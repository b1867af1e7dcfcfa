"""The report of a run: the blur of each photo and the quality of the scene, in one HTML file."""

from bags.report.page import write_report
from bags.report.words import in_short

__all__ = ["in_short", "write_report"]
