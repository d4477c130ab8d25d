"""Which coils the strip map lets go: the oldest, by age and by how much there is. Pure but for the database."""

import sqlite3
from typing import Final

from station.console.strip.progress import load_progress

__all__ = ["MOST_AGE_DAYS", "MOST_COILS", "MOST_ROWS", "find_old", "remove"]

MOST_ROWS: Final = 2_000_000
"""Defects and stretches of all coils together; some 200 MB."""
MOST_COILS: Final = 20_000
MOST_AGE_DAYS: Final = 400
_DAY_NS: Final = 24 * 3600 * 10**9
_TABLES: Final = ("defects", "stretches", "counts", "minutes", "passes")


def find_old(
    connection: sqlite3.Connection, now_ns: int, most_rows: int = MOST_ROWS, most_coils: int = MOST_COILS
) -> list[int]:
    """Return the coils that are too much, the oldest first; none that a camera is still over.

    Age counts to the newest frame, or to now where that is earlier: a clock that leapt lets nothing go.
    """
    running = {
        way.coil
        for camera in load_progress(connection).cameras.values()
        for way in (camera.here, camera.before)
        if way is not None
    }
    rows = connection.execute("SELECT id, kept, end_ns FROM strip_coils ORDER BY end_ns DESC, id DESC").fetchall()
    oldest_ns = min(now_ns, rows[0][2] if rows else 0) - MOST_AGE_DAYS * _DAY_NS
    found, total = [], 0
    for number, (id, kept, end_ns) in enumerate(rows):
        total += kept
        if id not in running and (total > most_rows or number >= most_coils or end_ns < oldest_ns):
            found.append(id)
    return found[::-1]


def remove(connection: sqlite3.Connection, coil: int) -> None:
    """Remove a coil and all that is known of it."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM strip_{table} WHERE coil = ?", (coil,))
    connection.execute("DELETE FROM strip_coils WHERE id = ?", (coil,))
