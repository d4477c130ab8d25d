"""Single defects: one with all its numbers, or all that fit, as a table or as JSON. Pure but for the database."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final

from station.console.strip.tables import VERDICTS
from station.console.strip.wanted import Wanted

__all__ = ["as_csv", "as_json", "read_defect", "read_defects"]

_QUERY: Final = (
    'SELECT event, number, c.name AS camera, l.name AS label, verdict, "begin", "end", x_px, y_px, d.width_px,'
    " height_px, area_px, x_mm, width_mm, length_mm, area_mm2, confidence, depth, novelty, found_by, counts,"
    " captured_ns FROM strip_defects AS d JOIN strip_names AS c ON c.id = camera JOIN strip_names AS l ON l.id = label"
    " WHERE coil = ?"
)
_PAGE: Final = 2000

_Open = Callable[[], AbstractContextManager[sqlite3.Connection]]


def read_defect(connection: sqlite3.Connection, coil: int, event: int, number: int) -> dict[str, Any] | None:
    """Return everything that is known of a defect, or None."""
    query = f"{_QUERY} AND event = ? AND number = ?"
    row = connection.execute(query, (coil, event, number)).fetchone()
    return None if row is None else _named(row)


def read_defects(open_: _Open, coil: int, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Yield the defects of a coil that fit, in the order of their events; no read lasts while they are waited for."""
    tests, values = wanted.as_sql()
    query = f"{_QUERY} AND (event, number) > (?, ?) AND {tests} ORDER BY event, number LIMIT {_PAGE}"
    last, rows = (-1, -1), list[Any]()
    while last == (-1, -1) or rows:
        with open_() as connection:
            rows = connection.execute(query, (coil, *last, *values)).fetchall()
        yield from map(_named, rows)
        last = (rows[-1][0], rows[-1][1]) if rows else (0, 0)


def as_csv(defects: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table."""
    head: list[str] = []
    for defect in defects:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not head:
            head = list(defect)
            writer.writerow(head)
        writer.writerow(_harmless(value) for value in defect.values())
        yield text.getvalue()


def as_json(defects: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield a JSON array, a line each."""
    before = "[\n"
    for defect in defects:
        yield before + json.dumps(defect)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _named(row: sqlite3.Row) -> dict[str, Any]:
    named = dict(row)
    named["verdict"] = VERDICTS[named["verdict"]]
    named["counts"] = bool(named["counts"])
    named["captured"] = datetime.fromtimestamp(named["captured_ns"] / 1e9, UTC).isoformat(timespec="milliseconds")
    return named


def _harmless(value: Any) -> Any:
    """Return `value` such that no spreadsheet takes a word for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return "" if value is None else value
