"""What comes again with every turn of a roll, searched for in a process of its own: a large coil takes seconds.

`python -m station.console.strip.repeats` takes a `Task` as JSON on its standard input and prints a list of `Found`.
"""

import sys
from typing import Final

import msgspec
import numpy as np

from calibration.periodic import Roll, find_repeats
from station.config import Config
from station.console.strip.coils import Way
from station.console.strip.columns import Columns
from station.console.strip.errands import Errands

__all__ = ["Found", "Task", "make_tasks", "search"]

_LANE_PART: Final = 0.02  # as in station.report: so far two marks of one roll may lie apart across
_MOST_MARKS: Final = 2000


class Task(msgspec.Struct, frozen=True):
    """The middles of one camera's defects, and the rolls that may fit."""

    camera: int
    lane_px: float
    along_mm: list[float]
    across_px: list[float]
    label: list[int]
    rolls: list[tuple[str, float]]


class Found(msgspec.Struct, frozen=True):
    """A repeat of one camera; `marks` are the places of at most the first 2000."""

    camera: int
    distance_mm: float
    spread_mm: float
    begin: float
    end: float
    across_px: float
    missing: int
    false_alarm: float
    rolls: tuple[str, ...]
    total: int
    marks: list[float]
    labels: dict[int, int]


def make_tasks(columns: Columns, ways: list[Way], config: Config) -> list[Task]:
    """Return what is to be searched: each camera's defects that have a place and count."""
    rolls = [(roll.name, roll.diameter_mm) for roll in config.line.rolls]
    tasks = []
    for way in ways:
        rows = (columns.camera == way.camera) & columns.counts & np.isfinite(columns.along)
        found = (columns.along[rows].tolist(), columns.x_px[rows].tolist(), columns.label[rows].tolist())
        tasks.append(Task(way.camera, _LANE_PART * way.width_px, *found, rolls))
    return tasks


def search(errands: Errands, tasks: list[Task]) -> list[Found]:
    """Return the repeats of all cameras. Raises `StationError` where that can't be done now."""
    printed = errands.run(["station.console.strip.repeats"], msgspec.json.encode(tasks))
    return msgspec.json.decode(printed, type=list[Found])


def _search(task: Task) -> list[Found]:
    along, across = np.array(task.along_mm), np.array(task.across_px)
    rolls = [Roll(name, diameter_mm) for name, diameter_mm in task.rolls]
    found = []
    for repeat in find_repeats(along, across, task.lane_px, rolls):
        labels, counts = np.unique(np.array(task.label)[list(repeat.marks)], return_counts=True)
        found.append(
            Found(
                task.camera,
                round(repeat.distance_mm, 2),
                round(repeat.spread_mm, 2),
                repeat.start_mm,
                repeat.end_mm,
                round(repeat.across, 1),
                repeat.missing,
                repeat.false_alarm,
                repeat.rolls,
                len(repeat.marks),
                sorted(along[list(repeat.marks)].tolist())[:_MOST_MARKS],
                dict(zip(labels.tolist(), counts.tolist(), strict=True)),
            )
        )
    return found


def _main() -> None:
    tasks = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Task])
    sys.stdout.buffer.write(msgspec.json.encode([one for task in tasks for one in _search(task)]))


if __name__ == "__main__":
    _main()
