"""How far each consumer has acknowledged, in a database of its own that outlives a damaged journal. Replay thread."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import JournalError
from station.journal.database import open_database, transaction

__all__ = ["CURSORS", "Consumer", "Cursors", "consumers"]

CURSORS = "cursors.db"
"""Name of its file in the journal's folder."""

_APPLICATION = 0x53484C43
_VERSION = 1
_SCHEMA = """
CREATE TABLE consumer (
    name TEXT NOT NULL,
    journal TEXT NOT NULL,
    acknowledged INTEGER NOT NULL,
    acknowledged_ns INTEGER NOT NULL,
    PRIMARY KEY (name, journal)
) WITHOUT ROWID
"""
_MAX_CONSUMERS = 256
_KEEP = """
INSERT INTO consumer VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
acknowledged = max(acknowledged, excluded.acknowledged), acknowledged_ns = excluded.acknowledged_ns
"""


@dataclass(frozen=True, slots=True)
class Consumer:
    """How far a consumer is."""

    name: str
    acknowledged: int
    acknowledged_ns: int
    """UTC."""


def consumers(connection: sqlite3.Connection, journal: str) -> list[Consumer]:
    """Return the consumers of `journal`. Raises `sqlite3.Error`."""
    ours = "SELECT name, acknowledged, acknowledged_ns FROM consumer WHERE journal = ? ORDER BY name"
    return [Consumer(*row) for row in connection.execute(ours, (journal,))]


class Cursors:
    """The consumers of one journal."""

    def __init__(self, path: Path, journal: str) -> None:
        """Open the database at `path`, or make it. Raises `ConfigError`, and `sqlite3.Error` for what the disk says."""
        self._journal = journal
        self._connection = open_database(path, _SCHEMA, _APPLICATION, _VERSION)

    def where(self, consumer: str) -> int | None:
        """Return the number up to which `consumer` is done; None when it never said. Raises `sqlite3.Error`."""
        ours = "SELECT acknowledged FROM consumer WHERE name = ? AND journal = ?"
        row = self._connection.execute(ours, (consumer, self._journal)).fetchone()
        return row[0] if row else None

    def acknowledge(self, consumer: str, event: int, utc_ns: int) -> int:
        """Keep on the disk that `consumer` is done up to `event`, and return how far it is now: it never goes back.

        Raises `JournalError` for a consumer too many, and `sqlite3.Error`.
        """
        with transaction(self._connection):
            if self.where(consumer) is None:
                self._make_room(consumer)
            self._connection.execute(_KEEP, (consumer, self._journal, event, utc_ns))
        return self.where(consumer) or 0

    def forget(self, consumer: str) -> None:
        """Remove `consumer`, so that it begins anew. Raises `sqlite3.Error`."""
        self._connection.execute("DELETE FROM consumer WHERE name = ?", (consumer,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _make_room(self, consumer: str) -> None:
        self._connection.execute("DELETE FROM consumer WHERE journal != ?", (self._journal,))
        (count,) = self._connection.execute("SELECT count(*) FROM consumer").fetchone()
        if count >= _MAX_CONSUMERS:
            raise JournalError(f"{count} consumers are kept: `station journal forget` one to make room for {consumer}")
