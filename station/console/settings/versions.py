"""Every text of `config.toml` that was applied here, with who and when. Any thread."""

import sqlite3
import time
from dataclasses import dataclass
from typing import Final

from station.console.database import Database

__all__ = ["Version", "Versions"]

_MOST: Final = 1000
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS settings_version (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL,"
    " who TEXT NOT NULL, outcome TEXT NOT NULL, words TEXT NOT NULL, text TEXT NOT NULL) STRICT",
)


@dataclass(frozen=True, slots=True)
class Version:
    """A text that was applied, or refused; `who` is empty for one that was found in the file."""

    id: int
    at_ns: int
    who: str
    outcome: str
    words: str
    text: str


class Versions:
    """The history; the oldest give way at last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare("settings", _TABLES)

    def add(self, who: str, outcome: str, words: str, text: str) -> None:
        """Note a text."""
        with self._database.write() as db:
            insert = "INSERT INTO settings_version (at_ns, who, outcome, words, text) VALUES (?, ?, ?, ?, ?)"
            newest = db.execute(insert, (time.time_ns(), who, outcome, words, text)).lastrowid or 0
            db.execute("DELETE FROM settings_version WHERE id <= ?", (newest - _MOST,))

    def of(self, number: int) -> Version | None:
        """Return the version of that number."""
        with self._database.read() as db:
            row = db.execute("SELECT * FROM settings_version WHERE id = ?", (number,)).fetchone()
        return _version(row) if row else None

    def newest(self, count: int = 50) -> list[Version]:
        """Return the newest ones, the newest first."""
        with self._database.read() as db:
            rows = db.execute("SELECT * FROM settings_version ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [_version(row) for row in rows]


def _version(row: sqlite3.Row) -> Version:
    return Version(row["id"], row["at_ns"], row["who"], row["outcome"], row["words"], row["text"])
