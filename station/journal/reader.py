"""Reading the journal's database, also beside its writer. Of the thread that opened the connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from station.journal.batch import ROW_BYTES, Batch

__all__ = ["BAD_CHECKSUM", "Found", "as_batch", "bounds", "every_batch", "newest_batches", "read", "used_bytes"]

BAD_CHECKSUM = "their checksum in journal.db is wrong"
_LAST, _PUBLISHED_NS, _CRC = (f"ifnull(CAST({name} AS INTEGER), 0)" for name in ("last", "published_ns", "crc"))
"""Whatever a damaged page shows, the types are right."""
_FROM = f"SELECT first, {_LAST}, {_PUBLISHED_NS}, {_CRC}, ifnull(CAST(lines AS BLOB), x'') FROM batch"
_RANGE = (
    f"{_FROM} WHERE first >= ifnull((SELECT max(first) FROM batch WHERE first <= ?), 0) AND first <= ? ORDER BY first"
)
_AFTER = f"{_FROM} WHERE first > ? ORDER BY first LIMIT 64"


@dataclass(frozen=True, slots=True)
class Found:
    """What a read found."""

    parts: list[bytes]
    """Lines, in order of their numbers."""
    first: int
    last: int
    """Oldest and newest message kept at that moment; 1 and 0 when none is."""
    following: int
    """Where to read on."""
    damaged: list[tuple[int, int]]
    """First and last number of each batch that was left out, since its checksum is wrong."""


def read(connection: sqlite3.Connection, start: int, end: int, max_bytes: int) -> Found:
    """Return messages `start` to `end`, up to the batch that makes them `max_bytes`. Raises `sqlite3.Error`."""
    parts: list[bytes] = []
    damaged: list[tuple[int, int]] = []
    with _snapshot(connection), closing(connection.execute(_RANGE, (start, end))) as rows:
        first, last = bounds(connection)
        following = max(start, min(end, last) + 1)
        for batch, crc in map(as_batch, rows):
            if batch.crc != crc:
                damaged.append((batch.first, batch.last))
            elif part := batch.part(start, end):
                parts.append(part)
                max_bytes -= len(part)
                if max_bytes <= 0:
                    following = min(batch.last, end) + 1
                    break
    return Found(parts, first, last, following, damaged)


def every_batch(connection: sqlite3.Connection) -> Iterator[tuple[Batch, int]]:
    """Yield every batch with the checksum that stands beside it, in order. Raises `sqlite3.Error`.

    It reads a few at a time: one long read would keep the writer's log from being emptied.
    """
    after = 0
    while rows := connection.execute(_AFTER, (after,)).fetchall():
        yield from map(as_batch, rows)
        after = rows[-1][0]


def newest_batches(connection: sqlite3.Connection, count: int) -> list[tuple[Batch, int]]:
    """Return the newest batches with their checksums, newest first. Raises `sqlite3.Error`."""
    return [as_batch(row) for row in connection.execute(f"{_FROM} ORDER BY first DESC LIMIT {count}")]


def bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the oldest and the newest number, 1 and 0 of an empty journal. Raises `sqlite3.Error`."""
    (first,) = connection.execute("SELECT min(first) FROM batch").fetchone()
    newest = connection.execute(f"SELECT first, {_LAST} FROM batch ORDER BY first DESC LIMIT 1").fetchone()
    return (first, _plausible(*newest)) if newest else (1, 0)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file holds something. Raises `sqlite3.Error`."""
    sizes = ("page_count", "freelist_count", "page_size")
    pages, free, page_bytes = (connection.execute(f"PRAGMA {size}").fetchone()[0] for size in sizes)
    return int((pages - free) * page_bytes)


def as_batch(row: tuple[Any, ...]) -> tuple[Batch, int]:
    """Return a row as what it holds and the checksum that stands in it."""
    first, last, published_ns, crc, lines = row
    return Batch(first, _plausible(first, last), published_ns, lines), crc


def _plausible(first: int, last: int) -> int:
    """Return `last` of a row, or `first` where a damaged page shows what can't be."""
    return last if first <= last < first + ROW_BYTES else first


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let everything in the block see the same moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
