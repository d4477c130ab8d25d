"""The report of a coil: what was inspected of it, what was found where, what comes again with every turn."""

from station.report.figures import CoilReport, make_report
from station.report.files import write_report
from station.report.record import CoilRecord, PlacedDefect
from station.report.source import hear_messages, read_messages

__all__ = [
    "CoilRecord",
    "CoilReport",
    "PlacedDefect",
    "hear_messages",
    "make_report",
    "read_messages",
    "write_report",
]
