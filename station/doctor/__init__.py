"""What this computer has, what is missing and what mends it: a check a line, for a person or a bug report."""

from station.doctor.base import Check, Level, as_table, worst
from station.doctor.examine import examine
from station.doctor.report import draw, draw_sum

__all__ = ["Check", "Level", "as_table", "draw", "draw_sum", "examine", "worst"]
