"""The defects of a coil as columns in memory, so that a view of many is made in milliseconds. Any thread."""

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from station.console.database import Database

__all__ = ["ColumnCache", "Columns", "read_columns"]

_MOST_COILS: Final = 4
_QUERY: Final = (
    'SELECT ("begin" + "end") / 2, event, number, camera, label, verdict, x_px + width_px / 2.0, area_px, confidence,'
    " counts FROM strip_defects WHERE coil = ? AND event > ?"
)

_Column: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns [n] in order of `along`; those whose place nobody knows come last, as NaN. Read-only."""

    along: _Column
    """The middle, float64, in the coil's unit."""
    event: _Column
    number: _Column
    camera: _Column
    label: _Column
    verdict: _Column
    x_px: _Column
    """The middle."""
    area_px: _Column
    confidence: _Column
    counts: _Column
    """It is told here for the first time."""
    by_area: _Column
    """Rows, the smallest defect first."""
    last_event: int

    def __len__(self) -> int:
        return len(self.along)


_TYPES: Final = (np.float64, np.int64, np.int32, np.int32, np.int32, np.uint8, np.float32, np.float64, np.float32, bool)


class ColumnCache:
    """The columns of the coils that were asked for last; those of one that runs are read on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._coils: OrderedDict[int, Columns] = OrderedDict()

    def of(self, coil: int) -> Columns:
        """Return the columns as the tables have them now; none of a coil that is not there."""
        with self._lock:
            with self._database.read() as db:
                columns = read_columns(db, coil, self._coils.pop(coil, None))
            self._coils[coil] = columns
            while len(self._coils) > _MOST_COILS:
                self._coils.popitem(last=False)
            return columns


def read_columns(connection: sqlite3.Connection, coil: int, known: Columns | None = None) -> Columns:
    """Return the columns of a coil, from those `known` on."""
    cursor = connection.cursor()
    cursor.row_factory = None
    rows = cursor.execute(_QUERY, (coil, known.last_event if known else -1)).fetchall()
    if known is not None and not rows:
        return known
    table = np.array(rows, np.float64).reshape(-1, len(_TYPES)).T
    found = [column.astype(kind) for column, kind in zip(table, _TYPES, strict=True)]
    if known is not None:
        before = (getattr(known, name) for name in Columns.__slots__[: len(_TYPES)])
        found = [np.concatenate(pair) for pair in zip(before, found, strict=True)]
    order = np.argsort(found[0], kind="stable")
    columns = [column[order] for column in found]
    by_area = np.argsort(columns[7], kind="stable")
    for column in (*columns, by_area):
        column.flags.writeable = False
    named = dict(zip(Columns.__slots__, columns, strict=False))
    return Columns(**named, by_area=by_area, last_event=int(columns[1].max(initial=-1)))
