"""The schedule of a run, and how many steps fit into a time budget."""

from bags.schedule.clock import Kind, Phase, ScaleSchedule

__all__ = ["Kind", "Phase", "ScaleSchedule"]
