"""How far the strip map has read the journal, and what it must know of each camera to read on. Pure."""

import sqlite3

import msgspec

from station.report.bridge import Bridge

__all__ = ["CameraProgress", "Pass", "Progress", "load_progress", "save_progress"]


class Pass(msgspec.Struct):
    """A camera over one coil; lengths in the coil's unit."""

    coil: int
    name: str
    unit: str
    told: float
    """All before this is settled: what was not inspected stands in a stretch."""
    reached: float
    reason: str = ""
    """Why what lies between was not inspected; empty where it was."""
    zero_ns: int = 0
    """When its hour began, where it is one."""
    width_px: int = 0
    mm_per_px: float | None = None
    unplaced: int = 0
    """Defects that nobody knows the place of."""
    unnamed: bool = False
    """The station was restarted, and may not know the coil's name."""
    bridge: Bridge = msgspec.field(default_factory=Bridge)


class CameraProgress(msgspec.Struct):
    """Where a camera is now, and the coil before, of which the last stretches are told late."""

    here: Pass | None = None
    before: Pass | None = None
    placed: bool = False
    """It has told a position since the station was started."""


class Progress(msgspec.Struct):
    """All up to message `last` of `journal` is in the tables."""

    journal: str = ""
    last: int = 0
    run: str = ""
    cameras: dict[str, CameraProgress] = {}


def load_progress(connection: sqlite3.Connection) -> Progress:
    """Return what was saved last; of an empty database the begin."""
    row = connection.execute("SELECT state FROM strip_progress").fetchone()
    return msgspec.json.decode(row[0], type=Progress) if row else Progress()


def save_progress(connection: sqlite3.Connection, progress: Progress) -> None:
    """Save `progress`, in the transaction of the rows that it tells of."""
    state = msgspec.json.encode(progress).decode()
    connection.execute("INSERT OR REPLACE INTO strip_progress (id, state) VALUES (1, ?)", (state,))
