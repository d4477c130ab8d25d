"""The tables of the strip map in the console's database, and what numbers in them stand for. Pure."""

import sqlite3
from typing import Final

__all__ = ["TABLES", "VERDICTS", "Names"]

VERDICTS: Final = ("accept", "reject", "invalid")
"""The verdict of a frame is kept as its place in here."""

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS strip_progress (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS strip_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS strip_coils (
        id INTEGER PRIMARY KEY, journal TEXT NOT NULL, name TEXT NOT NULL, part INTEGER NOT NULL, unit TEXT NOT NULL,
        "begin" REAL NOT NULL, "end" REAL NOT NULL, begin_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
        first_event INTEGER NOT NULL, last_event INTEGER NOT NULL, defects INTEGER NOT NULL, kept INTEGER NOT NULL,
        unheard INTEGER NOT NULL, UNIQUE (name, part))""",
    "CREATE INDEX IF NOT EXISTS strip_coils_by_time ON strip_coils (end_ns)",
    """CREATE TABLE IF NOT EXISTS strip_passes (
        coil INTEGER, camera INTEGER, width_px INTEGER NOT NULL, mm_per_px REAL, told REAL NOT NULL,
        reached REAL NOT NULL, reason TEXT NOT NULL, unplaced INTEGER NOT NULL, PRIMARY KEY (coil, camera)
        ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS strip_minutes (
        coil INTEGER, minute INTEGER, camera INTEGER, accept INTEGER NOT NULL, reject INTEGER NOT NULL,
        invalid INTEGER NOT NULL, late INTEGER NOT NULL, PRIMARY KEY (coil, minute, camera)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS strip_counts (
        coil INTEGER, minute INTEGER, camera INTEGER, label INTEGER, defects INTEGER NOT NULL,
        PRIMARY KEY (coil, minute, camera, label)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS strip_stretches (
        coil INTEGER, camera INTEGER, "begin" REAL, "end" REAL, reason TEXT NOT NULL,
        PRIMARY KEY (coil, camera, "begin")) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS strip_defects (
        coil INTEGER, event INTEGER, number INTEGER, camera INTEGER NOT NULL, label INTEGER NOT NULL,
        verdict INTEGER NOT NULL, "begin" REAL, "end" REAL, x_px INTEGER NOT NULL, y_px INTEGER NOT NULL,
        width_px INTEGER NOT NULL, height_px INTEGER NOT NULL, area_px INTEGER NOT NULL, x_mm REAL, width_mm REAL,
        length_mm REAL, area_mm2 REAL, confidence REAL NOT NULL, depth REAL NOT NULL, novelty REAL,
        found_by TEXT NOT NULL, counts INTEGER NOT NULL, captured_ns INTEGER NOT NULL,
        PRIMARY KEY (coil, event, number)) WITHOUT ROWID""",
)
"""A coil's `unit` is `mm` along the strip, or `ms` of an hour: where the line tells no position, an hour is a coil.

`kept` counts rows that a coil takes in the last two tables. Stretches are those that were not inspected; from `told` to
`reached` a camera has looked, and `reason` is what kept it from inspecting, if anything did. `number` is the place of a
defect in its event, and NULL in `begin` says that nobody knows where it lies.
"""


class Names:
    """Numbers of labels and cameras, over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {
            name: number for number, name in connection.execute("SELECT id, name FROM strip_names")
        }

    def number(self, name: str) -> int:
        """Return the number of `name`, a new one the first time."""
        if name not in self._numbers:
            cursor = self._connection.execute("INSERT INTO strip_names (name) VALUES (?)", (name,))
            self._numbers[name] = int(cursor.lastrowid or 0)
        return self._numbers[name]

    def of(self) -> dict[int, str]:
        """Return every name by its number."""
        return {number: name for name, number in self._numbers.items()}
